"""An order of samples in shards that reads few shards at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError


def check_window(window: int) -> None:
    """Raise `DataError` unless ``window`` is at least 1."""
    if window < 1:
        raise DataError(f"data.window must be >= 1, got {window}")


@dataclass(frozen=True, slots=True)
class WindowShuffle:
    """Shards in random order on a circle, their samples spread over a window of it.

    A sample of the shard at place p gets the key (p + window * u) mod S with its own uniform u;
    samples are sorted by their keys. So at most window + 1 of S shards are read at a time, which
    give new ones way one after another; with ``window`` >= S all orders have the same probability.
    The order is a function of the generator alone.

    Attributes:
        sizes: samples of each shard.
        window: shards among which samples are mixed, >= 1.

    Raises:
        DataError: if ``window`` is less.
    """

    sizes: Sequence[int]
    window: int

    def __post_init__(self) -> None:
        check_window(self.window)

    def __call__(self, generator: torch.Generator) -> Tensor:
        """The order, ``[N]``."""
        shards = len(self.sizes)
        window = min(self.window, shards)

        # Where each shard comes on the circle.
        place = torch.empty(shards, dtype=torch.float64)
        place[torch.randperm(shards, generator=generator)] = torch.arange(shards).double()
        keys = place.repeat_interleave(torch.tensor(self.sizes))
        # Each sample up to a window later; past the end of the circle is its start.
        keys += window * torch.rand(len(keys), generator=generator, dtype=torch.float64)
        return keys.remainder_(shards).argsort(stable=True)
