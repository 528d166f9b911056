"""What to ask the generator for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import Batch
from gan_zoo.data.dataset import Source
from gan_zoo.data.loader import asked, asked_rows
from gan_zoo.metrics.base import Generated
from gan_zoo.training.module import GANModule
from gan_zoo.visualization.image_grid import picture_of

BLOCK_SIZE = 64


def drawer(module: GANModule, source: Source, seed: int) -> Callable[[int], Generated]:
    """What makes block number k of generated samples.

    Models that are told something are asked for what held-out data bring, if there are any, else the data themselves.
    """
    told = source.told() if module.model.needs else None

    def draw(block: int) -> Generated:
        rng = StepRNG(seed, block, device=module.device)
        batch = Batch(BLOCK_SIZE, rng) if told is None else asked(told, BLOCK_SIZE, rng)
        batch, model = batch.to(module.device), module.model
        return Generated(module.views(batch), batch, model.requested_label(batch), model.num_requested_labels)

    return draw


SHOWN_BESIDE = {"image", "domain"}  # needs of models whose pictures show what a sample was made from


def sample_picture(module: GANModule, source: Source, count: int, seed: int) -> Any:
    """A picture of ``count`` samples, or of a quarter of that where each is shown beside its input."""
    rng = StepRNG(stable_seed(seed, "grid"), 0, device=module.device)
    count = max(1, count // 4) if SHOWN_BESIDE & set(module.model.needs) else count
    batch, captions, columns = request(module, source, count, rng)
    names = source.classes if "label" in module.model.needs else None
    return picture_of(module.views(batch), captions, columns, names or ())


def request(
    module: GANModule, source: Source | None, count: int, rng: StepRNG
) -> tuple[Batch, list[str] | None, int | None]:
    """What to ask for in a picture, the captions to write, and the number of columns.

    Where classes are all that is needed, no ``source`` is: every class comes as often as the others.
    """
    classes = module.model.num_requested_labels or 0
    columns = classes if 1 < classes <= min(count, 20) else None
    count = count if columns is None else count // columns * columns
    labels = None if columns is None else torch.arange(count) % columns
    if source is None or not module.model.needs:
        every_class = torch.arange(count) % classes if classes else None
        return Batch(count, rng, label=every_class if labels is None else labels), None, columns
    told = source.told()
    batch = asked(told, count, rng)
    if labels is not None:
        batch.label = labels
    captions = None
    if not {"label", *SHOWN_BESIDE} & set(module.model.needs) and told.captions is not None:
        captions = [told.captions[row] for row in asked_rows(told, batch.size, rng).tolist()]
    return batch, captions, columns
