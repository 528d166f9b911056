"""The endless stream of batches: order and noise are functions of seed and step, so any step can be continued from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gan_zoo.data.source import Source, to_unit
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
    """

    def __init__(self, num_samples: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.share, self.rank = batch_size // world_size, rank
        self._permutations: dict[int, Tensor] = {}

    def permutation(self, epoch: int) -> Tensor:
        """The order of epoch number ``epoch``, ``[N]``."""
        if epoch not in self._permutations:
            self._permutations = {e: p for e, p in self._permutations.items() if e == epoch - 1}
            generator = seeded_generator(CPU, self.seed, "order", epoch)
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


@dataclass
class Stream:
    """An iterable of `Batch` without end, beginning at the step that ``start()`` names.

    Small sets live on the device as uint8 and are gathered there; large ones come through worker processes.

    Args:
        source: the data set.
        order: which samples a batch holds.
        noise: the run's noise; its step is set for every batch.
        start: the number of the first batch, asked when iteration begins.
        flip: mirror every image with probability 1/2.
        num_workers: worker processes, if the set is not on the device.
        on_device: keep all samples on the device.
    """

    source: Source
    order: Order
    noise: Noise
    start: Callable[[], int]
    flip: bool = False
    num_workers: int = 0
    on_device: bool = True

    def __iter__(self) -> Iterator[Batch]:
        first = self.start()
        rows = self._gathered(first) if self.on_device else self._loaded(first)
        for step, (samples, labels) in enumerate(rows, start=first):
            yield self._batch(step, samples, labels)

    def _gathered(self, first: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        device = self.noise.device
        samples = self.source.samples.to(device)
        labels = None if self.source.labels is None else self.source.labels.to(device)
        step = first
        while True:
            rows = self.order.indices(step).to(device, non_blocking=True)
            yield samples.index_select(0, rows), None if labels is None else labels.index_select(0, rows)
            step += 1

    def _loaded(self, first: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        device = self.noise.device
        loader = DataLoader(
            _Rows(self.source),
            batch_sampler=_Steps(self.order, first),
            num_workers=self.num_workers,
            collate_fn=_as_is,
            pin_memory=device.type == "cuda",
        )
        for samples, labels in loader:
            moved = None if labels is None else labels.to(device, non_blocking=True)
            yield samples.to(device, non_blocking=True), moved

    def _batch(self, step: int, samples: Tensor, labels: Tensor | None) -> Batch:
        noise = Noise(self.noise.seed, step, self.noise.rank, self.noise.world_size, self.noise.device)
        real = to_unit(samples)
        if self.flip:
            mirrored = noise.uniform("flip", len(real)) < 0.5
            real = torch.where(mirrored.view(-1, 1, 1, 1), real.flip(-1), real)
        return Batch(size=len(real), noise=noise, real=real, label=labels)


class _Rows(Dataset[Any]):
    """Whole batches of rows at once, for worker processes."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitems__(self, rows: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        chosen = rows[0]
        labels = self.source.labels
        return self.source.samples[chosen], None if labels is None else labels[chosen]


class _Steps(Sampler[list[Tensor]]):
    """The rows of one step after another; a step's rows are one tensor in a list."""

    def __init__(self, order: Order, first: int) -> None:
        self.order, self.first = order, first

    def __iter__(self) -> Iterator[list[Tensor]]:
        step = self.first
        while True:
            yield [self.order.indices(step)]
            step += 1


def _as_is(batch: Any) -> Any:
    return batch
