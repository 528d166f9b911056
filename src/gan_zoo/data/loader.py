"""Infinite, resumable loader: order and random numbers are functions of seed and step."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import Batch, SampleRequest
from gan_zoo.data.batch_order import BatchIndices, BatchSampler, at_step
from gan_zoo.data.crops import crop, crop_conditions, random_corners
from gan_zoo.data.dataset import Source
from gan_zoo.data.few_labels import UNLABELED
from gan_zoo.data.files.cache import read_ahead
from gan_zoo.data.image_tensors import center, to_unit
from gan_zoo.data.streamed_images import StreamedImages


class GatheredRows(NamedTuple):
    """The tensors of the rows of a batch."""

    samples: Tensor
    labels: Tensor | None
    conditions: Tensor | None
    mismatched: Tensor | None
    labeled: Tensor | None
    labels_of_labeled: Tensor | None
    categories: Tensor | None


def gather_rows(source: Source, rows: BatchIndices) -> GatheredRows:
    """The tensors of ``rows``, gathered on the device of the source."""

    def gather(tensor: Tensor | None, index: Tensor | None) -> Tensor | None:
        if tensor is None or index is None:
            return None
        return tensor.index_select(0, index.to(tensor.device, non_blocking=True))

    # Labels that training must not use become UNLABELED.
    samples = gather(source.stored_samples, rows.samples)
    assert samples is not None
    labels = gather(source.labels, rows.samples)
    known = gather(source.labeled, rows.samples)
    if labels is not None and known is not None:
        labels = labels.masked_fill(~known, UNLABELED)

    # Conditions, and mismatched ones for the models that need them.
    conditions = gather(source.stored_conditions, rows.conditions)
    mismatched = gather(source.stored_conditions, rows.mismatched)

    # Further samples, all of whose labels are known, for semi-supervised models.
    labeled = gather(source.stored_samples, rows.labeled)
    labels_of_labeled = gather(source.labels, rows.labeled)
    return GatheredRows(
        samples, labels, conditions, mismatched, labeled, labels_of_labeled, rows.categories
    )


@dataclass
class InfiniteLoader:
    """An infinite iterable of `Batch`, from step ``start()`` on.

    Small datasets are kept on the device as uint8 and gathered there; large ones are read by worker
    processes.

    Args:
        source: the dataset.
        sampler: the rows of each batch.
        rng: the run's generator; its step is set for every batch.
        start: returns the number of the first batch; called when iteration begins.
        flip: mirror every image with probability 1/2, together with an image that is its condition.
        num_workers: worker processes, if the dataset is not on the device.
        on_device: keep all samples on the device.
    """

    source: Source
    sampler: BatchSampler
    rng: StepRNG
    start: Callable[[], int]
    flip: bool = False
    num_workers: int = 0
    on_device: bool = True

    def __iter__(self) -> Iterator[Batch]:
        first = self.start()
        gathered = self._from_device(first) if self.on_device else self._from_workers(first)
        for step, parts in enumerate(gathered, start=first):
            yield self._batch(step, parts)

    def _from_device(self, first: int) -> Iterator[GatheredRows]:
        source = on_device(self.source, self.rng.device)
        step = first
        while True:
            yield gather_rows(source, self.sampler.indices(step))
            step += 1

    def _from_workers(self, first: int) -> Iterator[GatheredRows]:
        device = self.rng.device

        # Workers gather the rows of whole batches, this process moves them.
        loader = DataLoader(
            _BatchDataset(self.source),
            batch_sampler=_StepSampler(self.sampler, first),
            num_workers=self.num_workers,
            collate_fn=_identity,
            worker_init_fn=_leave_process_group,
            pin_memory=device.type == "cuda",
        )
        for parts in _reraise_worker_errors(loader):
            moved: list[Any] = [
                None if part is None else part.to(device, non_blocking=True) for part in parts
            ]
            yield GatheredRows(*moved)

    def _batch(self, step: int, parts: GatheredRows) -> Batch:
        rng = at_step(self.rng, step)

        # 8-bit images become values in [-1, 1].
        real, condition, mismatched = (
            None if tensor is None else to_unit(tensor)
            for tensor in (parts.samples, parts.conditions, parts.mismatched)
        )
        assert real is not None

        # Crops of larger images: the same of a sample and its own condition.
        if self.source.uncropped is not None:
            sides = self.source.sample_shape[1:]
            corners = random_corners(real, sides, rng, "crop")
            other = random_corners(real, sides, rng, "crop of conditions")
            real = crop(real, corners, sides)
            condition = crop_conditions(
                condition, other if self.source.unpaired else corners, sides
            )
            mismatched = crop_conditions(mismatched, other, sides)

        # A condition image is flipped with its sample.
        if self.flip:
            flip = rng.uniform("flip", len(real)) < 0.5
            real, condition, mismatched = (
                _flip(tensor, flip) for tensor in (real, condition, mismatched)
            )

        # Derived conditions are made here, from the samples unless other rows were drawn for them.
        if self.source.derivation is not None:
            condition = self.source.derivation(real if condition is None else condition, rng)
            if mismatched is not None:
                mismatched = self.source.derivation(mismatched, rng.derive("mismatched"))
        categories = parts.categories
        if categories is not None:
            categories = categories.to(real.device, non_blocking=True)
        return Batch(
            len(real),
            rng,
            real,
            parts.labels,
            condition,
            mismatched,
            categories,
            self._labeled(parts.labeled, rng),
            parts.labels_of_labeled,
        )

    def _labeled(self, stored: Tensor | None, rng: StepRNG) -> Tensor | None:
        """The further samples with known labels, cropped and flipped by draws of their own."""
        if stored is None:
            return None
        samples = to_unit(stored)
        if self.source.uncropped is not None:
            sides = self.source.sample_shape[1:]
            samples = crop(samples, random_corners(samples, sides, rng, "crop of labeled"), sides)
        if self.flip:
            flip = rng.uniform("flip of labeled", len(samples)) < 0.5
            samples = _flip(samples, flip)
        return samples


def _reraise_worker_errors(loader: Iterable[GatheredRows]) -> Iterator[GatheredRows]:
    """The loader's batches; raises `DataError` if a worker process fails."""
    try:
        yield from loader
    except DataError as error:
        # That of a worker process contains its traceback, which ends with the message.
        message = str(error).rpartition("DataError: ")[2].strip()
        raise DataError(message) from error
    except (OSError, EOFError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"a worker process of data.num_workers failed: {reason}; data.num_workers=0 disables"
            " them"
        ) from error


def _flip(images: Any, flip: Tensor) -> Any:
    """Images, flipped left to right where ``flip`` ``[B]`` is true.

    Other conditions as they are.
    """
    if images is None or images.ndim != 4:
        return images
    return torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images)


def on_device(source: Source, device: torch.device) -> Source:
    """The same data with its tensors on ``device``, where streamed images are ordinary ones."""

    def move(tensor: Tensor) -> Tensor:
        if isinstance(tensor, StreamedImages):
            return tensor.loaded(device)
        return tensor.to(device)

    def move_if_any(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else move(tensor)

    # Crops are made from whole images, so these are all that has to be read.
    uncropped = move_if_any(source.uncropped)
    samples = source.samples
    if uncropped is not None and isinstance(samples, StreamedImages):
        samples = center(uncropped, source.sample_shape[1:])
    return replace(
        source,
        samples=move(samples),
        labels=move_if_any(source.labels),
        conditions=move_if_any(source.conditions),
        uncropped=uncropped,
        uncropped_conditions=move_if_any(source.uncropped_conditions),
        labeled=move_if_any(source.labeled),
    )


def fixed_batch(
    source: Source,
    size: int,
    rng: StepRNG,
    needs: Collection[str] = (),
) -> Batch:
    """A single batch of ``source``, the same for the same generator, with at most all samples."""
    size = min(size, len(source))
    sampler = BatchSampler(source, size, rng.to(CPU), needs)
    batches = InfiniteLoader(source, sampler, rng.to(CPU), start=lambda: rng.step, on_device=False)
    return next(iter(batches)).to(rng.device)


def unit_blocks(source: Source, size: int = 256) -> Iterator[Tensor]:
    """All samples of ``source`` in order, ``size`` at a time, as in batches but without crops and
    flips.
    """
    for start in range(0, len(source), size):
        rows = torch.arange(start, min(start + size, len(source)))
        yield to_unit(source.samples.index_select(0, rows))


def request_rows(source: Source, size: int, rng: StepRNG) -> Tensor:
    """The rows whose labels and conditions `sample_request` takes, ``[size]``."""
    owners = source.samples if source.aligned or source.conditions is None else source.conditions
    return rng.to(CPU).randint("asked", size, 0, len(owners))


def sample_request(source: Source, size: int, rng: StepRNG) -> SampleRequest:
    """A request for samples with the labels and conditions of ``size`` random rows of ``source``.

    Where conditions are images, ``target`` holds the samples that belong to them if those are
    known, else ``unrelated`` holds other samples.
    """
    # Labels and conditions of the dataset.
    request = SampleRequest(size, rng)
    rows = request_rows(source, size, rng)
    if source.labels is not None and source.aligned:
        request.label = source.labels[rows]
    if source.conditions is not None:
        request.condition = to_unit(source.conditions[rows])

    # The samples that belong to condition images.
    if source.derivation is not None:
        request.target = to_unit(source.samples[rows])
        request.condition = source.derivation(request.target, rng.to(CPU))
    elif source.conditions is not None and source.condition_kind == "image":
        if source.aligned:
            request.target = to_unit(source.samples[rows])
        else:
            others = rng.to(CPU).randint("unrelated", size, 0, len(source))
            request.unrelated = to_unit(source.samples[others])
    return request


class _BatchDataset(Dataset[Any]):
    """Complete batches at once, for worker processes."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitems__(self, rows: list[BatchIndices]) -> GatheredRows:
        read_ahead(self.source.stored_samples, rows[0].samples)
        read_ahead(self.source.stored_samples, rows[0].labeled)
        conditions = self.source.stored_conditions
        if conditions is not None:
            read_ahead(conditions, rows[0].conditions)
            read_ahead(conditions, rows[0].mismatched)
        return gather_rows(self.source, rows[0])


class _StepSampler(Sampler[list[BatchIndices]]):
    """The rows of one step after another, one `BatchIndices` in a list."""

    def __init__(self, sampler: BatchSampler, first: int) -> None:
        self.sampler = sampler
        self.first = first

    def __iter__(self) -> Iterator[list[BatchIndices]]:
        step = self.first
        while True:
            yield [self.sampler.indices(step)]
            step += 1


def _identity(batch: Any) -> Any:
    return batch


def _leave_process_group(worker: int) -> None:
    """Signals to the whole group, of a terminal or a scheduler, are for the process that trains: it
    finishes its step, for which it needs its workers.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
