"""Requests for samples, in training and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.data.loader import request_rows, sample_request
from gan_zoo.metrics.base import Generated
from gan_zoo.models.base import Model
from gan_zoo.training.module import GANModule
from gan_zoo.visualization.image_grid import image_of

BLOCK_SIZE = 64


def needs_source(model: Model) -> bool:
    """Whether requests need data: conditions that are not classes come from a dataset."""
    return model.needs_conditions


def data_request(model: Model, source: Source, size: int, rng: StepRNG) -> SampleRequest:
    """A request with the labels and conditions of held-out data, if there are any, else of the
    data.
    """
    if model.conditioning == "none":
        return SampleRequest(size, rng)
    return model.evaluation_request(sample_request(source.evaluation_split(), size, rng))


def sample_blocks(module: GANModule, source: Source, seed: int) -> Callable[[int], Generated]:
    """A function that generates block number k of the samples of an evaluation."""
    model = module.model

    def generate(block: int) -> Generated:
        # The random numbers depend on the seed and the number of the block alone.
        rng = StepRNG(seed, block, device=module.device)
        request = data_request(model, source, BLOCK_SIZE, rng).to(module.device)
        visuals = module.visuals(request)
        return Generated(
            visuals, request, model.requested_label(request), model.num_requested_labels
        )

    return generate


class GridRequest(NamedTuple):
    """A request for the samples of an image grid.

    Attributes:
        request: what is requested.
        captions: to write below the samples; None for none.
        columns: of the grid, one for each class; None for about as many as rows.
    """

    request: SampleRequest
    captions: list[str] | None = None
    columns: int | None = None


def grid_request(model: Model, source: Source | None, count: int, rng: StepRNG) -> GridRequest:
    """A request for ``count`` samples to display, rounded down to full columns where each class has
    one.

    ``source`` may be None unless the model `needs_source`: every class is requested equally often.
    """
    # A column for each class if all fit, and then only full columns.
    classes = model.num_requested_labels or 0
    columns = classes if 1 < classes <= min(count, 20) else None
    count = count if columns is None else count // columns * columns
    every_class = torch.arange(count) % classes if classes else None

    # Classes, codes, or nothing.
    if source is None or model.conditioning == "none":
        return GridRequest(SampleRequest(count, rng, label=every_class), None, columns)

    # Conditions of held-out data; classes in columns if they fit.
    held_out = source.evaluation_split()
    request = model.evaluation_request(sample_request(held_out, count, rng))
    if columns is not None:
        request.label = every_class
    captions = None
    if model.conditioning in ("text", "vector") and held_out.captions is not None:
        captions = [held_out.captions[row] for row in request_rows(held_out, count, rng).tolist()]
    return GridRequest(request, captions, columns)


def sample_image(module: GANModule, source: Source, count: int, seed: int) -> Any:
    """An image grid of ``count`` samples, or of a quarter of that where each is displayed next to
    its input.
    """
    model = module.model
    rng = StepRNG(stable_seed(seed, "grid"), 0, device=module.device)

    # Where inputs are displayed, each sample takes the place of several images.
    has_inputs = not {"image", "domain"}.isdisjoint(model.needs)
    count = max(1, count // 4) if has_inputs else count
    grid = grid_request(model, source, count, rng)
    class_names = source.classes if model.conditioning == "class" else None
    return image_of(module.visuals(grid.request), grid.captions, grid.columns, class_names or ())


def real_image(module: GANModule, source: Source, count: int, seed: int) -> Any | None:
    """An image grid of ``count`` real samples in the layout of `sample_image`, for comparison; None
    where that shows its inputs and targets already.
    """
    model = module.model
    if not {"image", "domain"}.isdisjoint(model.needs):
        return None

    # The samples of the request's rows, or of its classes where these have columns.
    grid = grid_request(model, source, count, StepRNG(stable_seed(seed, "grid"), 0))
    data = source.evaluation_split()
    rows = request_rows(data, grid.request.size, StepRNG(stable_seed(seed, "grid"), 0))
    class_names: Sequence[str] = ()
    wanted = grid.request.label
    if model.conditioning == "class" and data.labels is not None and wanted is not None:
        rows = rows_of_classes(data.labels, wanted.tolist(), rows)
        class_names = source.classes or ()
    samples = to_unit(data.samples[rows])
    return image_of({"sample": samples}, grid.captions, grid.columns, class_names)


def rows_of_classes(labels: Tensor, wanted: Sequence[int], rows: Tensor) -> Tensor:
    """For each of ``wanted`` the next row of this class, and one of ``rows`` for classes without
    samples, ``[len(wanted)]``.
    """
    by_class = {label: (labels == label).nonzero().flatten().tolist() for label in set(wanted)}
    found = []
    for place, label in enumerate(wanted):
        own = by_class[label]
        found.append(own.pop(0) if own else int(rows[place]))
    return torch.tensor(found)
