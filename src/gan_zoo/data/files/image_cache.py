"""Images decoded once into a memory-mapped file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.core.paths import cache_root
from gan_zoo.data.files.cache import cache_key, cached_images
from gan_zoo.data.files.image_io import ValueRange, check_channels, check_value_range, decode, fill_array

DECODED_BY = "upright, 16 bits by their range: version 2"
ON_ERROR = ("stop", "skip")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Those of many images that can be read.

    Attributes:
        rows: their places among all that were asked for, in order.
        images: ``[len(rows), C, S, S]`` uint8.
        key: changes with the images.
    """

    rows: list[int]
    images: Tensor
    key: str

    def take(self, rows: list[int]) -> Tensor:
        """The images of ``rows``, which are some of `Decoded.rows`; of all of them without a copy."""
        if rows == self.rows:
            return self.images
        place = {row: number for number, row in enumerate(self.rows)}
        return self.images[torch.tensor([place[row] for row in rows], dtype=torch.int64)]


def check_on_error(on_error: str) -> None:
    """Raise `DataError` unless ``on_error`` is one of `ON_ERROR`."""
    if on_error not in ON_ERROR:
        raise DataError(f"data.on_error must be one of {', '.join(ON_ERROR)}, got {on_error!r}")


def check_folder(folder: Path, argument: str) -> Path:
    """``folder``, or a `DataError` that names the ``argument`` if it is none."""
    if not folder.is_dir():
        raise DataError(f"{argument} must be a folder of images, got {str(folder)!r}, which is not a folder")
    return folder


def decode_files(
    folder: Path,
    files: Sequence[Path],
    channels: int,
    image_size: int,
    on_error: str,
    value_range: ValueRange | None = None,
) -> Decoded:
    """The images ``files`` below ``folder``; the key changes with every file's name, size and date.

    Args:
        folder: what the names are relative to.
        files: the images.
        channels: 1 or 3.
        image_size: S; short sides are resized to this, centers cropped.
        on_error: ``stop`` at unreadable files, naming them, or ``skip`` them.
        value_range: see `gan_zoo.data.files.image_io.ValueRange`.

    Raises:
        DataError: if an image cannot be read, or none with ``skip``.
    """
    check_channels(channels)
    check_value_range(value_range)
    stats = [(str(file.relative_to(folder)), *_size_and_date(file)) for file in files]
    key = cache_key("image_folder", DECODED_BY, stats, channels, image_size, list(value_range or ()))

    def make(row: int) -> np.ndarray[Any, Any]:
        return decode(files[row], channels, image_size, value_range)

    return decode_once("folder", key, [str(file) for file in files], (channels, image_size), make, on_error)


def _size_and_date(file: Path) -> tuple[int, int]:
    """Zeros for what cannot be looked at, such as a link to itself: decoding it says why."""
    try:
        stat = file.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def decode_once(
    kind: str,
    key: str,
    names: Sequence[str],
    form: tuple[int, int],
    make: Callable[[int], np.ndarray[Any, Any]],
    on_error: str = "stop",
) -> Decoded:
    """Images that ``make(row)`` decodes, from the cache if they have been before.

    Args:
        kind, key: name the cache's file.
        names: what errors call the images.
        form: channels C and image size S.
        make: row to ``[C, S, S]`` uint8; raises ValueError or OSError if that cannot be done.
        on_error: one of `ON_ERROR`.

    Raises:
        DataError: if an image cannot be decoded, or none with ``skip``.
    """
    check_on_error(on_error)
    path = cache_root() / "images" / f"{kind}-{form[1]}px-{key}.npy"
    skipped = path.with_suffix(".skipped.npy")

    def fill(array: np.ndarray[Any, Any]) -> None:
        failed = fill_array(array, make, f"Reading {len(names):,} images (once)")
        if failed and on_error == "stop":
            raise DataError(unreadable([names[row] for row in failed], list(failed.values()), len(names)))
        with atomic_path(skipped) as temporary:
            np.save(temporary, np.array(sorted(failed), dtype=np.int64))

    images = cached_images(path, (len(names), form[0], form[1], form[1]), fill)
    lost = set(np.load(skipped).tolist())
    if lost and on_error == "stop":
        causes = [ValueError("not a readable image")] * len(lost)
        raise DataError(unreadable([names[row] for row in sorted(lost)], causes, len(names)))
    if len(lost) == len(names):
        raise DataError(f"none of the {len(names)} images can be read, the first is {names[0]}")
    if lost:
        left_out = ", ".join(names[row] for row in sorted(lost)[:3]) + (" ..." if len(lost) > 3 else "")
        print(f"{len(lost)} of {len(names)} images cannot be read and are left out: {left_out}", file=sys.stderr)
    everything = Decoded(list(range(len(names))), images, key)
    rows = [row for row in everything.rows if row not in lost]
    return Decoded(rows, everything.take(rows), f"{key}-{len(lost)}")


def unreadable(names: Sequence[str], errors: Sequence[Exception], total: int) -> str:
    """One line that names unreadable images."""
    named = ", ".join(
        f"{name} ({str(error) or type(error).__name__})" for name, error in zip(names[:3], errors, strict=False)
    )
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} of {total} images cannot be read: {named}{more}; remove them or set data.on_error=skip"
