"""On-disk cache, safe against crashes and concurrent processes."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import math
import mmap
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path

LARGE = 10**9  # bytes


def cache_key(*parts: Any) -> str:
    """A hash of plain data, short enough for a file name."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:20]


def cached_images(
    path: Path,
    shape: tuple[int, ...],
    fill: Callable[[np.ndarray[Any, Any]], None],
    dtype: type[np.generic] = np.uint8,
) -> Tensor:
    """uint8 images ``shape``, or numbers of another type, memory-mapped from ``path``.

    ``fill`` writes them if the file is missing.

    Of several processes on a machine one writes it, and the others wait. Pages are read on demand,
    and count against no limit of memory.

    Raises:
        DataError: if it does not fit on the disk, before anything is written.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(path):
            if not path.exists():
                check_fits(path.parent, math.prod(shape) * np.dtype(dtype).itemsize)
                with atomic_path(path) as temporary:
                    array = np.lib.format.open_memmap(
                        temporary, mode="w+", dtype=dtype, shape=shape
                    )
                    fill(array)
                    array.flush()
                    del array
    with warnings.catch_warnings():
        # Nothing writes into a dataset.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(np.load(path, mmap_mode="r"))


def check_fits(folder: Path, size: int) -> None:
    """Say what a large file of ``size`` bytes will take.

    Raises:
        DataError: if ``folder`` has no room for it.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"the decoded data need {size / 1e9:.1f} GB in {folder}, which has {free / 1e9:.1f} GB"
            " left: set GAN_ZOO_CACHE to a folder on a larger disk, set a smaller data.image_size,"
            " or use data=streaming"
        )
    if size > LARGE:
        print(f"the decoded data take {size / 1e9:.1f} GB in {folder}", file=sys.stderr)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Within the block no other process of this machine makes ``path``.

    Where files cannot be locked, one might.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        # A folder that may not be written is an error, a missing lock is not.
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        yield
        return
    try:
        yield
    finally:
        lock.release()


def read_ahead(tensor: Tensor, rows: Tensor | None) -> None:
    """Prefetch ``rows`` of a memory-mapped ``tensor`` in parallel, if the system can."""
    if rows is None or _madvise is None or not tensor.is_contiguous():
        return
    row_bytes = tensor[0].nbytes
    page = mmap.PAGESIZE
    for row in rows.tolist():
        start = tensor.data_ptr() + row * row_bytes
        # The system takes whole pages.
        first_page = start // page * page
        _madvise(
            ctypes.c_void_p(first_page),
            ctypes.c_size_t(start + row_bytes - first_page),
            mmap.MADV_WILLNEED,
        )


def _system_call() -> Any:
    """``madvise`` of the C library; None where there is none."""
    try:
        return ctypes.CDLL(None).madvise if hasattr(mmap, "MADV_WILLNEED") else None
    except (OSError, AttributeError, TypeError):
        return None


_madvise = _system_call()
