"""A folder of pictures: nested or not, of any size, grey, RGB or RGBA."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_zoo.data.cache import cache_key, cache_root, cached_images
from gan_zoo.data.images import SUFFIXES, decode, fill_array
from gan_zoo.data.source import DataError, Source

ON_ERROR = ("stop", "skip")


def image_folder(root: str, channels: int = 3, image_size: int = 64, on_error: str = "stop") -> Source:
    """Every picture below ``root``, decoded and resized once into a memory-mapped cache.

    Pictures in sub-folders are labelled by their first folder; a flat folder has no labels.

    Args:
        root: the folder.
        channels: 1 or 3.
        image_size: short sides are resized to this, centres cropped.
        on_error: ``stop`` at unreadable files, naming them, or ``skip`` them.

    Raises:
        DataError: if there is no such folder, no picture in it, or one cannot be read.
    """
    if on_error not in ON_ERROR:
        raise DataError(f"data.on_error must be one of {', '.join(ON_ERROR)}, got {on_error!r}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(f"data.root must be a folder of pictures, got {str(root)!r}, which is not a folder")
    files = find_pictures(folder)
    if not files:
        raise DataError(f"data.root={root} has no pictures ({', '.join(SUFFIXES)})")
    files, images, key = _decode_all(folder, files, channels, image_size, on_error)
    return Source(folder.name, "all", images, _labels(folder, files), fingerprint=key)


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below ``folder``, sorted; hidden files and links to folders are left out."""
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    return sorted(found)


def _decode_all(
    folder: Path, files: list[Path], channels: int, image_size: int, on_error: str
) -> tuple[list[Path], Tensor, str]:
    """The readable files, their images and the cache's key; the key changes with every file's name, size and date."""
    stats = [(str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = cache_key("image_folder", stats, channels, image_size)
    path = cache_root() / "images" / f"folder-{image_size}px-{key}.npy"
    skipped = path.with_suffix(".skipped.npy")
    shape = (len(files), channels, image_size, image_size)

    def fill(array: np.ndarray[Any, Any]) -> None:
        title = f"Reading {len(files):,} pictures (once)"
        failed = fill_array(array, lambda row: decode(files[row], channels, image_size), title)
        if failed and on_error == "stop":
            raise DataError(unreadable([files[row] for row in failed], list(failed.values()), len(files)))
        skipped.parent.mkdir(parents=True, exist_ok=True)
        np.save(skipped, np.array(sorted(failed), dtype=np.int64))

    images = cached_images(path, shape, fill)
    lost = set(np.load(skipped).tolist())
    if lost and on_error == "stop":
        names = [files[row] for row in sorted(lost)]
        raise DataError(unreadable(names, [ValueError("not a readable picture")] * len(names), len(files)))
    if len(lost) == len(files):
        raise DataError(f"none of the {len(files)} pictures in {folder} can be read")
    if lost:
        kept = [row for row in range(len(files)) if row not in lost]
        files, images = [files[row] for row in kept], images[torch.tensor(kept)]
    return files, images, f"{key}-{len(lost)}"


def unreadable(files: Sequence[Path], errors: Sequence[Exception], total: int) -> str:
    """One line that names unreadable files."""
    named = ", ".join(
        f"{file} ({str(error) or type(error).__name__})" for file, error in zip(files[:3], errors, strict=False)
    )
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{len(files)} of {total} pictures cannot be read: {named}{more}; remove them or set data.on_error=skip"


def _labels(folder: Path, files: list[Path]) -> Tensor | None:
    parts = [file.relative_to(folder).parts for file in files]
    if any(len(part) == 1 for part in parts):
        return None
    classes = {name: number for number, name in enumerate(sorted({part[0] for part in parts}))}
    return torch.tensor([classes[part[0]] for part in parts])
