"""The endless stream of batches: order and noise are functions of seed and step, so any step can be continued from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gan_zoo.data.source import DataError, Source, to_unit
from gan_zoo.noise import CPU, Noise, seeded_generator
from gan_zoo.types import Batch


class Order:
    """Which samples batch number ``step`` holds: consecutive pieces of one fresh permutation after another.

    Every sample comes exactly once an epoch; a batch may span two epochs. Ranks get consecutive slices of the same
    global batch, so the order does not depend on their number.

    Args:
        num_samples: size of the data set.
        batch_size: size of the global batch.
        seed: the run's seed.
        purpose: orders of different purposes are independent.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        purpose: str = "order",
    ) -> None:
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.share, self.rank, self.purpose = batch_size // world_size, rank, purpose
        self._permutations: dict[int, Tensor] = {}

    def permutation(self, epoch: int) -> Tensor:
        """The order of epoch number ``epoch``, ``[N]``."""
        if epoch not in self._permutations:
            self._permutations = {e: p for e, p in self._permutations.items() if e == epoch - 1}
            generator = seeded_generator(CPU, self.seed, self.purpose, epoch)
            self._permutations[epoch] = torch.randperm(self.num_samples, generator=generator)
        return self._permutations[epoch]

    def indices(self, step: int) -> Tensor:
        """This rank's samples of batch ``step``, ``[share]``."""
        epoch, start = divmod(step * self.batch_size + self.rank * self.share, self.num_samples)
        piece = self.permutation(epoch)[start : start + self.share]
        while len(piece) < self.share:
            epoch += 1
            piece = torch.cat([piece, self.permutation(epoch)[: self.share - len(piece)]])
        return piece


class Others:
    """For each row another one whose condition differs, uniformly among all that do.

    Args:
        conditions: ``[N, ...]``; rows are equal if all their numbers are.

    Raises:
        DataError: if all conditions are equal.
    """

    def __init__(self, conditions: Tensor) -> None:
        rows = np.ascontiguousarray(conditions.numpy())
        rows = rows + 0.0 if np.issubdtype(rows.dtype, np.floating) else rows  # -0.0 equals 0.0, its bytes do not
        hashes = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
        group = np.unique(np.frombuffer(b"".join(hashes), dtype=np.uint64), return_inverse=True)[1]
        self.by_group = torch.from_numpy(np.argsort(group, kind="stable"))
        counts = torch.from_numpy(np.bincount(group))
        if len(counts) < 2:
            raise DataError(f"all {len(rows)} conditions of the data are equal: there is no wrong one to learn from")
        last = counts.cumsum(0)
        group_of = torch.from_numpy(group)
        self.first, self.count = (last - counts)[group_of], counts[group_of]

    def pick(self, rows: Tensor, noise: Noise) -> Tensor:
        """One other row for each of ``rows`` ``[B]``."""
        total = len(self.by_group)
        first, count = self.first[rows], self.count[rows]
        # Rows of equal conditions lie side by side in `by_group`: draw among the others and step over one's own.
        drawn = (noise.to(CPU).uniform("wrong", len(rows)) * (total - count)).long()
        return self.by_group[drawn + (drawn >= first) * count]


class Rows(NamedTuple):
    """The rows of a batch: of samples, of their conditions, and of wrong conditions."""

    samples: Tensor
    conditions: Tensor | None = None
    wrong: Tensor | None = None


class Taken(NamedTuple):
    """What lies in those rows."""

    samples: Tensor
    labels: Tensor | None
    conditions: Tensor | None
    wrong: Tensor | None


class Plan:
    """The rows of every batch of a source, as functions of seed and step.

    Args:
        source: the data set.
        batch_size: size of the global batch.
        noise: the run's noise, whose seed, rank and number of processes hold here.
        wrong_conditions: whether batches bring a wrong condition beside each right one.
    """

    def __init__(self, source: Source, batch_size: int, noise: Noise, wrong_conditions: bool = False) -> None:
        place = batch_size, noise.seed, noise.rank, noise.world_size
        self.noise, self.order = noise, Order(len(source), *place)
        self.conditional = source.conditions is not None
        self.other_order = self.others = None
        if source.conditions is not None and source.unpaired:
            self.other_order = Order(len(source.conditions), *place, purpose="order of conditions")
        elif source.conditions is not None and wrong_conditions:
            self.others = Others(source.conditions)

    def rows(self, step: int) -> Rows:
        """This rank's rows of batch ``step``."""
        rows = self.order.indices(step)
        if self.other_order is not None:
            return Rows(rows, self.other_order.indices(step))
        if not self.conditional:
            return Rows(rows)
        return Rows(rows, rows, None if self.others is None else self.others.pick(rows, at(self.noise, step)))


def at(noise: Noise, step: int) -> Noise:
    """The same noise at another step."""
    return Noise(noise.seed, step, noise.rank, noise.world_size, noise.device)


def take(source: Source, rows: Rows) -> Taken:
    """Gather ``rows`` where the source's tensors are."""

    def gather(tensor: Tensor | None, index: Tensor | None) -> Tensor | None:
        if tensor is None or index is None:
            return None
        return tensor.index_select(0, index.to(tensor.device, non_blocking=True))

    samples = gather(source.samples, rows.samples)
    assert samples is not None
    labels, conditions = gather(source.labels, rows.samples), gather(source.conditions, rows.conditions)
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
        flip: mirror every image with probability 1/2, together with a picture that is its condition.
        num_workers: worker processes, if the set is not on the device.
        on_device: keep all samples on the device.
    """

    source: Source
    plan: Plan
    noise: Noise
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
        held = on_device(self.source, self.noise.device)
        step = first
        while True:
            yield take(held, self.plan.rows(step))
            step += 1

    def _loaded(self, first: int) -> Iterator[Taken]:
        device = self.noise.device
        loader = DataLoader(
            _Shelf(self.source),
            batch_sampler=_Steps(self.plan, first),
            num_workers=self.num_workers,
            collate_fn=_as_is,
            pin_memory=device.type == "cuda",
        )
        for parts in loader:
            moved: list[Any] = [None if part is None else part.to(device, non_blocking=True) for part in parts]
            yield Taken(*moved)

    def _batch(self, step: int, parts: Taken) -> Batch:
        noise = at(self.noise, step)
        real, condition, wrong = (None if p is None else to_unit(p) for p in (parts.samples, *parts[2:]))
        assert real is not None
        if self.flip:
            mirrored = noise.uniform("flip", len(real)) < 0.5
            real, condition, wrong = (_mirrored(pictures, mirrored) for pictures in (real, condition, wrong))
        return Batch(len(real), noise, real, parts.labels, condition=condition, wrong_condition=wrong)


def _mirrored(pictures: Any, mirrored: Tensor) -> Any:
    """The pictures, some of them mirrored; what is no picture stays."""
    if pictures is None or pictures.ndim != 4:
        return pictures
    return torch.where(mirrored.view(-1, 1, 1, 1), pictures.flip(-1), pictures)


def on_device(source: Source, device: torch.device) -> Source:
    """The same data with its tensors on ``device``."""

    def move(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device)

    return replace(
        source, samples=source.samples.to(device), labels=move(source.labels), conditions=move(source.conditions)
    )


def asked_rows(source: Source, size: int, noise: Noise) -> Tensor:
    """The rows whose labels and conditions `asked` takes, ``[size]``."""
    owners = source.samples if source.aligned or source.conditions is None else source.conditions
    return noise.to(CPU).integers("asked", size, 0, len(owners))


def asked(source: Source, size: int, noise: Noise) -> Batch:
    """What to ask generators for: labels and conditions of ``size`` random samples of ``source``.

    Where conditions are pictures, ``real`` holds the samples they belong to, if that is known.
    """
    labels = conditions = real = None
    rows = asked_rows(source, size, noise)
    if source.labels is not None and source.aligned:
        labels = source.labels[rows]
    if source.conditions is not None:
        conditions = to_unit(source.conditions[rows])
        if source.condition_kind == "image" and source.aligned:
            real = to_unit(source.samples[rows])
    return Batch(size, noise, real, labels, condition=conditions)


class _Shelf(Dataset[Any]):
    """Whole batches of rows at once, for worker processes."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitems__(self, rows: list[Rows]) -> Taken:
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
