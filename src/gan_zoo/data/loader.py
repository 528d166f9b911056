"""The endless stream of batches: order and noise are functions of seed and step, so any step can be continued from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import Batch, SampleRequest
from gan_zoo.data.batch_order import Plan, Rows, at
from gan_zoo.data.dataset import Source
from gan_zoo.data.few_labels import UNLABELED
from gan_zoo.data.files.cache import read_ahead
from gan_zoo.data.image_tensors import to_unit


class Taken(NamedTuple):
    """What lies in those rows."""

    samples: Tensor
    labels: Tensor | None
    conditions: Tensor | None
    wrong: Tensor | None


def take(source: Source, rows: Rows) -> Taken:
    """Gather ``rows`` where the source's tensors are."""

    def gather(tensor: Tensor | None, index: Tensor | None) -> Tensor | None:
        if tensor is None or index is None:
            return None
        return tensor.index_select(0, index.to(tensor.device, non_blocking=True))

    samples = gather(source.samples, rows.samples)
    assert samples is not None
    labels = gather(source.labels, rows.samples)
    known = gather(source.labeled, rows.samples)
    if labels is not None and known is not None:
        labels = labels.masked_fill(~known, UNLABELED)
    conditions = gather(source.conditions, rows.conditions)
    return Taken(samples, labels, conditions, gather(source.conditions, rows.wrong))


@dataclass
class Stream:
    """An iterable of `Batch` without end, beginning at the step that ``start()`` names.

    Small sets live on the device as uint8 and are gathered there; large ones come through worker processes.

    Args:
        source: the data set.
        plan: which rows a batch holds.
        noise: the run's noise; its step is set for every batch.
        start: the number of the first batch, asked when iteration begins.
        flip: mirror every image with probability 1/2, together with an image that is its condition.
        num_workers: worker processes, if the set is not on the device.
        on_device: keep all samples on the device.
    """

    source: Source
    plan: Plan
    rng: StepRNG
    start: Callable[[], int]
    flip: bool = False
    num_workers: int = 0
    on_device: bool = True

    def __iter__(self) -> Iterator[Batch]:
        first = self.start()
        taken = self._gathered(first) if self.on_device else self._loaded(first)
        for step, parts in enumerate(taken, start=first):
            yield self._batch(step, parts)

    def _gathered(self, first: int) -> Iterator[Taken]:
        held = on_device(self.source, self.rng.device)
        step = first
        while True:
            yield take(held, self.plan.rows(step))
            step += 1

    def _loaded(self, first: int) -> Iterator[Taken]:
        device = self.rng.device
        loader = DataLoader(
            _Shelf(self.source),
            batch_sampler=_Steps(self.plan, first),
            num_workers=self.num_workers,
            collate_fn=_as_is,
            pin_memory=device.type == "cuda",
        )
        for parts in _from(loader):
            moved: list[Any] = [None if part is None else part.to(device, non_blocking=True) for part in parts]
            yield Taken(*moved)

    def _batch(self, step: int, parts: Taken) -> Batch:
        rng = at(self.rng, step)
        real, condition, wrong = (None if p is None else to_unit(p) for p in (parts.samples, *parts[2:]))
        assert real is not None
        if self.flip:
            mirrored = rng.uniform("flip", len(real)) < 0.5
            real, condition, wrong = (_mirrored(images, mirrored) for images in (real, condition, wrong))
        if self.source.derivation is not None:
            condition = self.source.derivation(real, rng)
        return Batch(len(real), rng, real, parts.labels, condition=condition, mismatched_condition=wrong)


def _from(loader: Iterable[Taken]) -> Iterator[Taken]:
    """The loader's batches; a worker process that dies is said to have died."""
    try:
        yield from loader
    except (OSError, EOFError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"a worker process of data.num_workers failed: {reason}; data.num_workers=0 does without"
        ) from error


def _mirrored(images: Any, mirrored: Tensor) -> Any:
    """The images, some of them mirrored; what is no image stays."""
    if images is None or images.ndim != 4:
        return images
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)


def on_device(source: Source, device: torch.device) -> Source:
    """The same data with its tensors on ``device``."""

    def move(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device)

    return replace(
        source,
        samples=source.samples.to(device),
        labels=move(source.labels),
        conditions=move(source.conditions),
        labeled=move(source.labeled),
    )


def one_batch(source: Source, size: int, rng: StepRNG, mismatched_conditions: bool = False) -> Batch:
    """A single batch of ``source``, the same for the same noise, with at most as many samples as there are."""
    size = min(size, len(source))
    plan = Plan(source, size, rng.to(CPU), mismatched_conditions)
    batches = Stream(source, plan, rng.to(CPU), start=lambda: rng.step, on_device=False)
    return next(iter(batches)).to(rng.device)


def request_rows(source: Source, size: int, rng: StepRNG) -> Tensor:
    """The rows whose labels and conditions `sample_request` takes, ``[size]``."""
    owners = source.samples if source.aligned or source.conditions is None else source.conditions
    return rng.to(CPU).integers("asked", size, 0, len(owners))


def sample_request(source: Source, size: int, rng: StepRNG) -> SampleRequest:
    """A request for samples with the labels and conditions of ``size`` random rows of ``source``.

    Where conditions are images, ``target`` holds the samples that belong to them if those are known, else
    ``unrelated`` holds other samples.
    """
    request = SampleRequest(size, rng)
    rows = request_rows(source, size, rng)
    if source.labels is not None and source.aligned:
        request.label = source.labels[rows]
    if source.conditions is not None:
        request.condition = to_unit(source.conditions[rows])
    if source.derivation is not None:
        request.target = to_unit(source.samples[rows])
        request.condition = source.derivation(request.target, rng.to(CPU))
    elif source.conditions is not None and source.condition_kind == "image":
        if source.aligned:
            request.target = to_unit(source.samples[rows])
        else:
            others = rng.to(CPU).integers("unrelated", size, 0, len(source))
            request.unrelated = to_unit(source.samples[others])
    return request


class _Shelf(Dataset[Any]):
    """Whole batches of rows at once, for worker processes."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitems__(self, rows: list[Rows]) -> Taken:
        read_ahead(self.source.samples, rows[0].samples)
        if self.source.conditions is not None:
            read_ahead(self.source.conditions, rows[0].conditions)
            read_ahead(self.source.conditions, rows[0].wrong)
        return take(self.source, rows[0])


class _Steps(Sampler[list[Rows]]):
    """The rows of one step after another, one `Rows` in a list."""

    def __init__(self, plan: Plan, first: int) -> None:
        self.plan, self.first = plan, first

    def __iter__(self) -> Iterator[list[Rows]]:
        step = self.first
        while True:
            yield [self.plan.rows(step)]
            step += 1


def _as_is(batch: Any) -> Any:
    return batch
