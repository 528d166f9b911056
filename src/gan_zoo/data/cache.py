"""Files that are made once and read many times, safe against kills and against each other."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_zoo.files import atomic_path


def cache_root() -> Path:
    """Where caches live: ``$GAN_ZOO_CACHE``, or ``gan_zoo`` in the user's cache folder."""
    if explicit := os.environ.get("GAN_ZOO_CACHE"):
        return Path(explicit).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "gan_zoo"


def cache_key(*parts: Any) -> str:
    """A file name's worth of hash over plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:20]


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
