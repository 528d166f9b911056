"""Files that are made once and read many times, safe against kills and against each other."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def cache_root() -> Path:
    """Where caches live: ``$GAN_ZOO_CACHE``, or ``gan_zoo`` in the user's cache folder."""
    if explicit := os.environ.get("GAN_ZOO_CACHE"):
        return Path(explicit).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "gan_zoo"


def cache_key(*parts: Any) -> str:
    """A file name's worth of hash over plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:20]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes ``path`` if the block succeeds, and vanishes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def cached_images(path: Path, shape: tuple[int, ...], fill: Callable[[np.ndarray[Any, Any]], None]) -> Tensor:
    """uint8 images ``shape`` memory-mapped from ``path``, which ``fill`` writes if it is not there yet.

    The mapping is private: pages are read on demand and never written back.
    """
    if not path.exists():
        with atomic_path(path) as temporary:
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            fill(array)
            array.flush()
            del array
    return torch.from_numpy(np.load(path, mmap_mode="c"))
