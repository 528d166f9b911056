"""What to ask the generator for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gan_zoo.core.rng import Noise, stable_seed
from gan_zoo.core.types import Batch
from gan_zoo.data.dataset import Source
from gan_zoo.data.loader import asked, asked_rows
from gan_zoo.metrics.base import Generated
from gan_zoo.training.module import GANModule
from gan_zoo.visualization.image_grid import picture_of

BLOCK_SIZE = 64


def drawer(module: GANModule, source: Source, seed: int) -> Callable[[int], Generated]:
    """What makes block number k of generated samples.

    Games that are told something are asked for what held-out data bring, if there are any, else the data themselves.
    """
    told = source.told() if module.game.needs else None

    def draw(block: int) -> Generated:
        noise = Noise(seed, block, device=module.device)
        batch = Batch(BLOCK_SIZE, noise) if told is None else asked(told, BLOCK_SIZE, noise)
        batch, game = batch.to(module.device), module.game
        return Generated(module.views(batch), batch, game.intent(batch), game.num_intents)

    return draw


SHOWN_BESIDE = {"image", "domain"}  # needs of games whose pictures show what a sample was made from


def sample_picture(module: GANModule, source: Source, count: int, seed: int) -> Any:
    """A picture of ``count`` samples, or of a quarter of that where each is shown beside its input."""
    noise = Noise(stable_seed(seed, "grid"), 0, device=module.device)
    count = max(1, count // 4) if SHOWN_BESIDE & set(module.game.needs) else count
    batch, captions, columns = request(module, source, count, noise)
    names = source.classes if "label" in module.game.needs else None
    return picture_of(module.views(batch), captions, columns, names or ())


def request(
    module: GANModule, source: Source | None, count: int, noise: Noise
) -> tuple[Batch, list[str] | None, int | None]:
    """What to ask for in a picture, the captions to write, and the number of columns.

    Where classes are all that is needed, no ``source`` is: every class comes as often as the others.
    """
    classes = module.game.num_intents or 0
    columns = classes if 1 < classes <= min(count, 20) else None
    count = count if columns is None else count // columns * columns
    labels = None if columns is None else torch.arange(count) % columns
    if source is None or not module.game.needs:
        every_class = torch.arange(count) % classes if classes else None
        return Batch(count, noise, label=every_class if labels is None else labels), None, columns
    told = source.told()
    batch = asked(told, count, noise)
    if labels is not None:
        batch.label = labels
    captions = None
    if not {"label", *SHOWN_BESIDE} & set(module.game.needs) and told.captions is not None:
        captions = [told.captions[row] for row in asked_rows(told, batch.size, noise).tolist()]
    return batch, captions, columns
