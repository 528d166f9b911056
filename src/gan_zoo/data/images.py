"""Picture files to uint8 arrays of one size."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from rich.markup import escape
from rich.progress import Progress

from gan_zoo.data.source import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 64_000_000
AT_ONCE = 1024
MODES = {1: "L", 3: "RGB"}

Item = TypeVar("Item")


def decode(file: Path | bytes, channels: int, image_size: int) -> np.ndarray[Any, Any]:
    """One picture as ``[C, S, S]`` uint8: transparency on white, short side resized to S, centre cropped.

    Raises:
        ValueError, OSError: if it is not a whole picture of an allowed format, or has more than `MAX_PIXELS` pixels.
    """
    array = np.asarray(_square(opened(file, channels), image_size))
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def opened(file: Path | bytes, channels: int) -> Image.Image:
    """One picture at its own size, grey or RGB, transparency on white; raises as `decode`."""
    if channels not in MODES:
        raise DataError(f"data.channels must be 1 or 3, got {channels}")
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
        picture = _eight_bit(image)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return picture.convert(MODES[channels])


def _eight_bit(picture: Image.Image) -> Image.Image:
    """The decoded picture with at most 8 bits a channel (Pillow would clip 16-bit grey instead of scaling it)."""
    picture.load()
    if picture.mode in ("I", "I;16", "I;16B", "I;16L"):
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    return picture.copy()


def _square(picture: Image.Image, size: int) -> Image.Image:
    width, height = picture.size
    if (width, height) == (size, size):
        return picture
    scale = size / min(width, height)
    new = (max(size, round(width * scale)), max(size, round(height * scale)))
    picture = picture.resize(new, Image.Resampling.BICUBIC)
    left, top = (new[0] - size) // 2, (new[1] - size) // 2
    return picture.crop((left, top, left + size, top + size))


def with_progress(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
    """``items`` with a progress bar that vanishes when done."""
    with Progress(transient=True) as progress:
        yield from progress.track(items, total=total, description=escape(title))


def fill_array(
    array: np.ndarray[Any, Any], make: Callable[[int], np.ndarray[Any, Any]], title: str
) -> dict[int, Exception]:
    """Fill every row with what ``make(row)`` returns, several at a time; the rows that failed, and why."""
    from concurrent.futures import ThreadPoolExecutor

    def attempt(row: int) -> tuple[int, Exception | None]:
        try:
            array[row] = make(row)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            return row, error
        return row, None

    total = len(array)
    with ThreadPoolExecutor() as pool:  # a task waits for its turn in memory: not all of them at once
        blocks = (range(first, min(first + AT_ONCE, total)) for first in range(0, total, AT_ONCE))
        results = with_progress((result for block in blocks for result in pool.map(attempt, block)), total, title)
        return {row: error for row, error in results if error is not None}
