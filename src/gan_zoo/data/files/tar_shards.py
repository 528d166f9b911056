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


class OpenTars:
    """Tars of which those used last stay open.

    An instance can be used after a fork and be pickled.

    Args:
        paths: the tars.
        stats: sizes and dates that they had when they were indexed.
        counts: samples of each.
        open_files: tars that a process keeps open.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        stats: Sequence[tuple[int, int]],
        counts: Sequence[int],
        open_files: int,
    ) -> None:
        self.paths = paths
        self.stats = stats
        self.files = ShardFiles(counts, open_files, self._open)

    def path(self, row: int) -> Path:
        """The tar of sample number ``row``."""
        return self.paths[self.files.locate(row)[0]]

    def read(self, row: int, start: int, size: int) -> bytes:
        """``size`` bytes of the tar of sample number ``row``, from byte ``start`` on.

        Raises:
            DataError: if the tar is not there, or has changed since it was indexed.
        """
        number, _ = self.files.locate(row)
        file, _ = self.files.open(number)
        content = os.pread(file.fileno(), size, start)

        # Programs that write in place leave an open file open.
        stat = os.fstat(file.fileno())
        if (stat.st_size, stat.st_mtime_ns) != self.stats[number]:
            raise DataError(_changed(self.paths[number]))
        return content

    def _open(self, number: int) -> tuple[BinaryIO, None]:
        path = self.paths[number]
        try:
            return path.open("rb"), None
        except OSError as error:
            raise DataError(f"{path} cannot be opened: {error.strerror}") from error


class TarShards:
    """Image files inside of tars, each read by its number.

    Args:
        tars: where they are.
        places: first byte and size of each image in its tar, ``[N, 2]``.
    """

    def __init__(self, tars: OpenTars, places: np.ndarray[Any, Any]) -> None:
        self.tars = tars
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def read(self, row: int) -> bytes:
        """The bytes of the image file number ``row``; raises `DataError` as `OpenTars.read`."""
        start, size = self.places[row].tolist()
        return self.tars.read(row, start, size)

    def name(self, row: int) -> str:
        """The tar and the member of the image file number ``row``, for messages."""
        path = self.tars.path(row)
        return f"{path}: {member_at(path, int(self.places[row, 0]))}"


def _changed(path: Path) -> str:
    return f"{path} has changed since this run has read where its images are: start or resume again"
