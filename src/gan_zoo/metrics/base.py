"""The contract of an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_zoo.data.source import Source
from gan_zoo.types import Score


@dataclass(frozen=True, slots=True)
class Samples:
    """Generated samples 0 .. N-1, in fixed blocks that are dealt to the processes.

    A sample depends on its number alone, so the set is the same on any number of processes and at any time.

    Args:
        draw: makes block number k, ``[block_size, ...]`` in [-1, 1].
        count: N, over all processes.
        block_size: samples in a block; what exceeds N in the last one is dropped.
        rank, world_size: this process's place.
    """

    draw: Callable[[int], Tensor]
    count: int
    block_size: int = 64
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[Tensor]:
        for block in range(self.rank, -(-self.count // self.block_size), self.world_size):
            yield self.draw(block)[: self.count - block * self.block_size]


class Evaluator:
    """Turns generated samples and a data set into scores.

    Attributes:
        num_samples: how many samples it wants generated.
        best: name and direction (``min`` or ``max``) of the score that decides which checkpoint is the best.
    """

    num_samples: int
    best: tuple[str, str]

    def __call__(self, samples: Samples, source: Source, device: torch.device) -> list[Score]:
        """Score ``samples`` against ``source``. Every process gets the same scores."""
        raise NotImplementedError
