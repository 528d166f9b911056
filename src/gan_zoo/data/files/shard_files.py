"""The files of shards: which of them holds a row, and those used last stay open."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np

OPEN_FILES = 100
"""A dataset keeps at most so many open: some systems allow a process 256."""

T = TypeVar("T")


class ShardFiles(Generic[T]):
    """Rows to shards, and the open files of these.

    An instance can be used after a fork and be pickled.

    Args:
        counts: rows of each shard.
        limit: files that a process keeps open; a deleted one takes space until it is closed.
        start: opens shard number ``i`` and reads what is needed of it besides its rows.
    """

    def __init__(
        self, counts: Sequence[int], limit: int, start: Callable[[int], tuple[BinaryIO, T]]
    ) -> None:
        self.limit = min(limit, OPEN_FILES)
        self.start = start
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self._open: OrderedDict[int, tuple[BinaryIO, T]] = OrderedDict()

    def __len__(self) -> int:
        return int(self.first[-1])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}

    def __del__(self) -> None:
        for file, _ in self._open.values():
            file.close()

    def locate(self, row: int) -> tuple[int, int]:
        """The number of the shard of ``row``, and its place in that shard."""
        number = int(np.searchsorted(self.first, row, side="right")) - 1
        return number, row - int(self.first[number])

    def open(self, number: int) -> tuple[BinaryIO, T]:
        """The open file of a shard, and what ``start`` read of it."""
        # The most recently used files stay open.
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        opened = self.start(number)
        self._open[number] = opened

        # The file that was not used for longest makes room.
        if len(self._open) > self.limit:
            self._open.popitem(last=False)[1][0].close()
        return opened
