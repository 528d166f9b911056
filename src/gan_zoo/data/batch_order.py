"""Deterministic batch order, as a function of seed and step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import CPU, StepRNG, seeded_generator
from gan_zoo.data.dataset import Source
from gan_zoo.data.streamed_images import BLOCK, StreamedImages


class EpochSampler:
    """The samples of each batch: consecutive pieces of a new permutation for every epoch.

    Every sample occurs exactly once in an epoch; a batch may span two epochs. Ranks get
    consecutive slices of the same global batch, so the order does not depend on their number.

    Args:
        num_samples: size of the dataset.
        batch_size: size of the global batch.
        seed: the run's seed.
        purpose: orders of different purposes are independent.
        permute: makes the order of an epoch, ``[N]``; None for one that is uniform among all.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        purpose: str = "order",
        permute: Callable[[torch.Generator], Tensor] | None = None,
    ) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.purpose = purpose
        self.permute = permute or partial(_uniform, num_samples)
        self.local_size = batch_size // world_size
        self._permutations: dict[int, Tensor] = {}

    def permutation(self, epoch: int) -> Tensor:
        """The order of epoch number ``epoch``, ``[N]``."""
        if epoch not in self._permutations:
            self._permutations = {e: p for e, p in self._permutations.items() if e == epoch - 1}
            generator = seeded_generator(CPU, self.seed, self.purpose, epoch)
            self._permutations[epoch] = self.permute(generator)
        return self._permutations[epoch]

    def indices(self, step: int) -> Tensor:
        """This rank's samples of batch ``step``, ``[local_size]``."""
        # A batch is cut across ranks, and its rows may lie in two epochs or more.
        epoch, start = divmod(
            step * self.batch_size + self.rank * self.local_size, self.num_samples
        )
        piece = self.permutation(epoch)[start : start + self.local_size]
        while len(piece) < self.local_size:
            epoch += 1
            piece = torch.cat([piece, self.permutation(epoch)[: self.local_size - len(piece)]])
        return piece


def _uniform(num_samples: int, generator: torch.Generator) -> Tensor:
    """All orders with the same probability."""
    return torch.randperm(num_samples, generator=generator)


class MismatchSampler:
    """Samples for each row another one with a different condition, uniformly among all of them.

    Args:
        conditions: ``[N, ...]``; rows are equal if all their numbers are.

    Raises:
        DataError: if all conditions are equal.
    """

    def __init__(self, conditions: Tensor) -> None:
        # Equal rows get the same group number, by a hash of their bytes.
        blocks: Iterable[Tensor] = torch.split(torch.arange(len(conditions)), BLOCK)
        if isinstance(conditions, StreamedImages):  # each of them is read and decoded
            title = f"Comparing {len(conditions):,} conditions"
            blocks = with_progress(blocks, math.ceil(len(conditions) / BLOCK), title)
        hashes = [digest for rows in blocks for digest in _hashes(conditions.index_select(0, rows))]
        codes = np.frombuffer(b"".join(hashes), dtype=np.uint64)
        group = np.unique(codes, return_inverse=True)[1]

        # Rows sorted by group: each row gets the first position and the size of its group.
        self.by_group = torch.from_numpy(np.argsort(group, kind="stable"))
        counts = torch.from_numpy(np.bincount(group))
        if len(counts) < 2:
            raise DataError(
                f"all {len(conditions)} conditions of the data are equal: there are no mismatched"
                " pairs"
            )
        ends = counts.cumsum(0)
        group_of = torch.from_numpy(group)
        self.first = (ends - counts)[group_of]
        self.count = counts[group_of]

    def sample(self, rows: Tensor, rng: StepRNG) -> Tensor:
        """One row with another condition for each of ``rows`` ``[B]``."""
        total = len(self.by_group)
        first = self.first[rows]
        count = self.count[rows]
        # Equal conditions are adjacent in `by_group`: sample among the others, then skip the own
        # group.
        draws = (rng.to(CPU).uniform("wrong", len(rows)) * (total - count)).long()
        return self.by_group[draws + (draws >= first) * count]


def _hashes(conditions: Tensor) -> list[bytes]:
    """A hash of each row, of 8 bytes."""
    rows = np.ascontiguousarray(conditions.numpy())
    if np.issubdtype(rows.dtype, np.floating):
        rows = rows + 0.0  # -0.0 equals 0.0, but its bytes differ
    return [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]


class BatchIndices(NamedTuple):
    """The rows of a batch: of samples, of their conditions, of mismatched conditions, and of
    further samples whose labels are known; and the values by which samples were drawn.
    """

    samples: Tensor
    conditions: Tensor | None = None
    mismatched: Tensor | None = None
    labeled: Tensor | None = None
    categories: Tensor | None = None


class BatchSampler:
    """The rows of every batch of a source, as functions of seed and step.

    Args:
        source: the dataset.
        batch_size: size of the global batch.
        rng: the run's generator; its seed, rank and number of processes are used.
        needs: as in `gan_zoo.models.base.Model`: ``mismatched`` for a mismatched condition for each
            sample, ``labeled`` for as many samples whose labels are known, in an order of their
            own, ``category`` for samples that `Source.row_draws` draws instead of epochs.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        rng: StepRNG,
        needs: Collection[str] = (),
    ) -> None:
        place = (batch_size, rng.seed, rng.rank, rng.world_size)
        self.rng = rng
        self.row_draws = source.row_draws if "category" in needs else None
        self.order = EpochSampler(len(source), *place, permute=source.permute)
        self.has_own_conditions = source.conditions is not None
        stored = source.stored_conditions

        # Unpaired conditions have their own order; mismatched ones are sampled for each row.
        self.condition_order = None
        self.mismatch_sampler = None
        if stored is not None and source.unpaired:
            self.condition_order = EpochSampler(len(stored), *place, purpose="order of conditions")
        elif stored is not None and "mismatched" in needs:
            self.mismatch_sampler = MismatchSampler(stored)

        # Few labels would hardly occur in batches of all samples, so they have their own order.
        self.labeled_order = None
        if "labeled" in needs:
            self.labeled_rows = known_labels(source)
            count = len(self.labeled_rows)
            self.labeled_order = EpochSampler(count, *place, purpose="order of labeled samples")

    def indices(self, step: int) -> BatchIndices:
        """This rank's rows of batch ``step``."""
        # Tables draw the rows that fit the categories that they draw.
        if self.row_draws is not None:
            drawn, categories = self.row_draws(self.order.local_size, at_step(self.rng, step))
            return BatchIndices(drawn, categories=categories)

        # Else every row once in an epoch.
        rows = self.order.indices(step)
        labeled = None
        if self.labeled_order is not None:
            labeled = self.labeled_rows[self.labeled_order.indices(step)]
        if self.condition_order is not None:
            return BatchIndices(rows, self.condition_order.indices(step), labeled=labeled)

        # Conditions of other samples, for models that tell pairs from mismatches.
        mismatched = None
        if self.mismatch_sampler is not None:
            mismatched = self.mismatch_sampler.sample(rows, at_step(self.rng, step))
        conditions = rows if self.has_own_conditions else None
        return BatchIndices(rows, conditions, mismatched, labeled)


def known_labels(source: Source) -> Tensor:
    """The rows whose labels training may use: all of them unless ``source.labeled`` says which."""
    if source.labeled is None:
        return torch.arange(len(source))
    return source.labeled.nonzero().flatten()


def at_step(rng: StepRNG, step: int) -> StepRNG:
    """The same generator at another step."""
    return StepRNG(rng.seed, step, rng.rank, rng.world_size, rng.device)
