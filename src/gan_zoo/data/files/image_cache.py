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
from gan_zoo.core.types import ImageSize, height_and_width
from gan_zoo.data.files.cache import cache_key, cached_images
from gan_zoo.data.files.image_io import (
    ValueRange,
    check_channels,
    check_value_range,
    decode,
    fill_array,
)
from gan_zoo.data.files.names import names_below

DECODED_BY = "upright, 16 bits by their range: version 2"
ON_ERROR = ("stop", "skip")


@dataclass(frozen=True, slots=True)
class Decoding:
    """How image files become arrays.

    Attributes:
        channels: C, 1 or 3.
        image_size: S, or H and W; images are resized to cover this, centers cropped.
        on_error: ``stop`` at unreadable files, naming them, or ``skip`` them.
        value_range: see `gan_zoo.data.files.image_io.ValueRange`.
        half: ``left`` or ``right``, the half of each file that is an image; None for all of it.
    """

    channels: int
    image_size: ImageSize
    on_error: str = "stop"
    value_range: ValueRange | None = None
    half: str | None = None


@dataclass(frozen=True, slots=True)
class DecodedImages:
    """The readable ones of many images.

    Attributes:
        rows: their indices among all requested images, in order.
        images: ``[len(rows), C, H, W]`` uint8.
        key: changes with the images.
    """

    rows: list[int]
    images: Tensor
    key: str

    def take(self, rows: list[int]) -> Tensor:
        """The images of ``rows``, a subset of `DecodedImages.rows`; all of them without a copy."""
        if rows == self.rows:
            return self.images
        place = {row: number for number, row in enumerate(self.rows)}
        return self.images[torch.tensor([place[row] for row in rows], dtype=torch.int64)]


def check_on_error(on_error: str) -> None:
    """Raise `DataError` unless ``on_error`` is one of `ON_ERROR`."""
    if on_error not in ON_ERROR:
        raise DataError(f"data.on_error must be one of {', '.join(ON_ERROR)}, got {on_error!r}")


def check_folder(folder: Path, argument: str, what: str = "images") -> Path:
    """``folder``; raises `DataError` naming ``argument`` if it is not a folder."""
    if not folder.is_dir():
        raise DataError(
            f"{argument} must be a folder of {what}, got {str(folder)!r}, which is not a folder"
        )
    return folder


def decode_files(folder: Path, files: Sequence[Path], decoding: Decoding) -> DecodedImages:
    """The images ``files`` below ``folder``; the key changes with every file's name, size and date.

    Args:
        folder: what the names are relative to.
        files: the images.
        decoding: how to decode them.

    Raises:
        DataError: if an image cannot be read, or none with ``skip``.
    """
    channels = decoding.channels
    image_size = decoding.image_size
    value_range = decoding.value_range
    check_channels(channels)
    check_value_range(value_range)

    # A changed file has another size or date.
    names = names_below(folder, files)
    stats = [(name, *size_and_date(file)) for name, file in zip(names, files, strict=True)]
    range_key = list(value_range or ())
    half_key = [] if decoding.half is None else [decoding.half]
    key = cache_key("image_folder", DECODED_BY, stats, channels, image_size, range_key, *half_key)

    def make(row: int) -> np.ndarray[Any, Any]:
        return decode(files[row], channels, image_size, value_range, decoding.half)

    return decode_cached("folder", key, [str(file) for file in files], decoding, make)


def size_and_date(file: Path) -> tuple[int, int]:
    """Size and date of a file; zeros if there are none, as decoding reports the error."""
    try:
        stat = file.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def decode_cached(
    kind: str,
    key: str,
    names: Sequence[str],
    decoding: Decoding,
    make: Callable[[int], np.ndarray[Any, Any]],
) -> DecodedImages:
    """Images that ``make(row)`` decodes, from the cache if they have been decoded before.

    Args:
        kind, key: name the cache's file.
        names: of the images, for errors.
        decoding: channels, image size and what to do with unreadable images.
        make: row to ``[C, H, W]`` uint8; raises ValueError or OSError if that is impossible.

    Raises:
        DataError: if an image cannot be decoded, or none with ``skip``.
    """
    height, width = height_and_width(decoding.image_size)
    path = cache_root() / "images" / f"{kind}-{size_text(decoding.image_size)}-{key}.npy"
    shape = (decoding.channels, height, width)
    return decode_all(path, key, names, decoding.on_error, make, shape)


def size_text(image_size: ImageSize) -> str:
    """``64px``, or ``48x64px`` of height and width."""
    height, width = height_and_width(image_size)
    return f"{height}px" if height == width else f"{height}x{width}px"


def decode_all(
    path: Path,
    key: str,
    names: Sequence[str],
    on_error: str,
    make: Callable[[int], np.ndarray[Any, Any]],
    shape: tuple[int, ...],
    dtype: type[np.generic] = np.uint8,
    what: str = "images",
) -> DecodedImages:
    """Samples ``shape`` that ``make(row)`` decodes, from the cache if they have been decoded
    before.

    Args:
        path: the cache's file.
        key, names, on_error, make: as in `decode_cached`.
        shape, dtype: of one sample.
        what: the samples' name in messages.
    """
    # Read the cache, or write it.
    check_on_error(on_error)
    stops = on_error == "stop"
    skipped_path = path.with_suffix(".skipped.npy")

    def fill(array: np.ndarray[Any, Any]) -> None:
        failed = fill_array(array, make, f"Reading {len(names):,} {what} (once)")
        if failed and stops:
            failed_names = [names[row] for row in failed]
            raise DataError(unreadable(failed_names, list(failed.values()), len(names), what))
        with atomic_path(skipped_path) as temporary:
            np.save(temporary, np.array(sorted(failed), dtype=np.int64))

    images = cached_images(path, (len(names), *shape), fill, dtype)

    # A cache that was written with on_error=skip may lack samples.
    skipped = sorted(set(np.load(skipped_path).tolist()))
    if skipped and stops:
        causes = [ValueError(f"not one of the readable {what}")] * len(skipped)
        raise DataError(unreadable([names[row] for row in skipped], causes, len(names), what))
    _report_skipped([names[row] for row in skipped], names, what)
    everything = DecodedImages(list(range(len(names))), images, key)
    rows = sorted(set(everything.rows) - set(skipped))
    return DecodedImages(rows, everything.take(rows), f"{key}-{len(skipped)}")


def _report_skipped(skipped: Sequence[str], names: Sequence[str], what: str) -> None:
    """Print which samples are skipped; raises `DataError` if it is all of them."""
    if not skipped:
        return
    if len(skipped) == len(names):
        raise DataError(f"none of the {len(names)} {what} can be read, the first is {names[0]}")
    first = ", ".join(skipped[:3]) + (" ..." if len(skipped) > 3 else "")
    line = f"{len(skipped)} of {len(names)} {what} cannot be read and are left out: {first}"
    print(line, file=sys.stderr)


def unreadable(
    names: Sequence[str], errors: Sequence[Exception], total: int, what: str = "images"
) -> str:
    """One line that names unreadable samples."""
    named = ", ".join(
        f"{name} ({str(error) or type(error).__name__})"
        for name, error in zip(names[:3], errors, strict=False)
    )
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"{len(names)} of {total} {what} cannot be read: {named}{more}; remove them or set"
        " data.on_error=skip"
    )
