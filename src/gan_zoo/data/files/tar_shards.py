"""Images of tar files, read by their numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gan_zoo.core.errors import DataError
from gan_zoo.data.files.shard_files import ShardFiles
from gan_zoo.data.files.tar_members import member_at


class TarShards:
    """Image files inside of tars, each read by its number.

    An instance can be used after a fork and be pickled.

    Args:
        paths: the tars.
        stats: sizes and dates that they had when they were indexed.
        counts: images of each.
        places: first byte and size of each image in its tar, ``[N, 2]``.
        open_files: tars that a process keeps open.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        stats: Sequence[tuple[int, int]],
        counts: Sequence[int],
        places: np.ndarray[Any, Any],
        open_files: int,
    ) -> None:
        self.paths = paths
        self.stats = stats
        self.places = places
        self.files = ShardFiles(counts, open_files, self._start)

    def __len__(self) -> int:
        return len(self.places)

    def read(self, row: int) -> bytes:
        """The bytes of the image file number ``row``.

        Raises:
            DataError: if its tar is not there, or has changed since it was indexed.
        """
        number, _ = self.files.locate(row)
        file, _ = self.files.open(number)
        start, size = self.places[row].tolist()
        content = os.pread(file.fileno(), size, start)
        if len(content) < size:
            raise DataError(_changed(self.paths[number]))
        return content

    def name(self, row: int) -> str:
        """The tar and the member of the image file number ``row``, for messages."""
        path = self.paths[self.files.locate(row)[0]]
        return f"{path}: {member_at(path, int(self.places[row, 0]))}"

    def _start(self, number: int) -> tuple[BinaryIO, None]:
        """The open tar; raises `DataError` if it is not the one that was indexed."""
        path = self.paths[number]
        try:
            file = path.open("rb")
        except OSError as error:
            raise DataError(f"{path} cannot be opened: {error.strerror}") from error
        stat = os.fstat(file.fileno())
        if (stat.st_size, stat.st_mtime_ns) != self.stats[number]:
            file.close()
            raise DataError(_changed(path))
        return file, None


def _changed(path: Path) -> str:
    return f"{path} has changed since this run has read where its images are: start or resume again"
