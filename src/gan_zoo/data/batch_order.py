"""Which rows of a data set every batch holds, as functions of seed and step."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG, seeded_generator
from gan_zoo.data.dataset import Source


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

    def pick(self, rows: Tensor, rng: StepRNG) -> Tensor:
        """One other row for each of ``rows`` ``[B]``."""
        total = len(self.by_group)
        first, count = self.first[rows], self.count[rows]
        # Rows of equal conditions lie side by side in `by_group`: draw among the others and step over one's own.
        drawn = (rng.to(CPU).uniform("wrong", len(rows)) * (total - count)).long()
        return self.by_group[drawn + (drawn >= first) * count]


class Rows(NamedTuple):
    """The rows of a batch: of samples, of their conditions, and of wrong conditions."""

    samples: Tensor
    conditions: Tensor | None = None
    wrong: Tensor | None = None


class Plan:
    """The rows of every batch of a source, as functions of seed and step.

    Args:
        source: the data set.
        batch_size: size of the global batch.
        noise: the run's noise, whose seed, rank and number of processes hold here.
        mismatched_conditions: whether batches bring a wrong condition beside each right one.
    """

    def __init__(self, source: Source, batch_size: int, rng: StepRNG, mismatched_conditions: bool = False) -> None:
        place = batch_size, rng.seed, rng.rank, rng.world_size
        self.rng, self.order = rng, Order(len(source), *place)
        self.conditional = source.conditions is not None
        self.other_order = self.others = None
        if source.conditions is not None and source.unpaired:
            self.other_order = Order(len(source.conditions), *place, purpose="order of conditions")
        elif source.conditions is not None and mismatched_conditions:
            self.others = Others(source.conditions)

    def rows(self, step: int) -> Rows:
        """This rank's rows of batch ``step``."""
        rows = self.order.indices(step)
        if self.other_order is not None:
            return Rows(rows, self.other_order.indices(step))
        if not self.conditional:
            return Rows(rows)
        return Rows(rows, rows, None if self.others is None else self.others.pick(rows, at(self.rng, step)))


def at(rng: StepRNG, step: int) -> StepRNG:
    """The same noise at another step."""
    return StepRNG(rng.seed, step, rng.rank, rng.world_size, rng.device)
