"""Decode image files to uint8 arrays of one size."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.core.types import ImageSize, height_and_width

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)
LEFT_OUT = (
    ".avif",
    ".heic",
    ".heif",
    ".jp2",
    ".jxl",
    ".svg",
    ".psd",
    ".dng",
    ".cr2",
    ".nef",
    ".arw",
    ".exr",
    ".hdr",
)
"""Endings of images that cannot be read: such files are counted and named."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 64_000_000
MAX_RATIO = 32
"""Largest aspect ratio: a line would become a huge image when its short side is resized."""
AT_ONCE = 1024
MODES = {1: "L", 3: "RGB"}
FULL_RANGE = {"PNG": 65535.0, "PPM": 65535.0}
"""Formats whose 16-bit values are from black to white by definition."""
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What decoding raises for files that are damaged, too large or no images."""

ValueRange = Sequence[float]
"""The values ``[low, high]`` of black and white, if a format of more than 8 bits has none."""


def check_channels(channels: int) -> None:
    """Raise `DataError` unless ``channels`` is 1 or 3."""
    if channels not in MODES:
        raise DataError(
            f"data.channels must be 1 or 3, got {channels}: transparent images are composited on"
            " white"
        )


def check_value_range(value_range: ValueRange | None) -> None:
    """Raise `DataError` unless ``value_range`` is two increasing numbers, or None."""
    if value_range is not None and (len(value_range) != 2 or not value_range[0] < value_range[1]):
        raise DataError(
            f"data.value_range must be [low, high] with low < high or null, got {list(value_range)}"
        )


def decode(
    file: Path | bytes,
    channels: int,
    image_size: ImageSize,
    value_range: ValueRange | None = None,
    half: str | None = None,
) -> np.ndarray[Any, Any]:
    """One image as ``[C, H, W]`` uint8: upright, on white, resized to cover H x W, center cropped.

    Args:
        file: a file, or its bytes.
        channels: C, 1 or 3.
        image_size: S for H = W = S, or H and W.
        value_range: see `ValueRange`.
        half: ``left`` or ``right`` to take that half of the file; None for all of it.

    Raises:
        ValueError, OSError: if it is not a complete image of an allowed format, has more than
            `MAX_PIXELS` pixels or a side more than `MAX_RATIO` times the other, or its range of
            values is not known.
    """
    image = open_image(file, channels, value_range)
    if half is not None:
        image = half_of(image, half)
    array = np.asarray(resize_and_crop(image, image_size))
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def open_image(
    file: Path | bytes, channels: int, value_range: ValueRange | None = None
) -> Image.Image:
    """One image at its own size, upright, gray or RGB, transparency on white.

    Arguments and errors as of `decode`.
    """
    # Upright, with 8 bits a channel.
    check_channels(channels)
    try:
        with Image.open(
            io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS
        ) as opened_file:
            _check_size(opened_file)
            image = _to_8bit(opened_file, value_range)
            image = ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise ValueError(f"more than {MAX_PIXELS:,} pixels") from error

    # Transparency shows white.
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert(MODES[channels])


def half_of(image: Image.Image, half: str) -> Image.Image:
    """The ``left`` or ``right`` half of an image.

    Raises:
        ValueError: if its width is odd.
    """
    width, height = image.size
    if width % 2:
        raise ValueError(f"{width} pixels wide, which cannot be halved: two images side by side?")
    left = 0 if half == "left" else width // 2
    return image.crop((left, 0, left + width // 2, height))


def _check_size(image: Image.Image) -> None:
    """Raise `ValueError` before anything is decoded that would take too much memory."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels are more than {MAX_PIXELS:,}")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ValueError(
            f"{width}x{height} pixels: one side is more than {MAX_RATIO} times the other"
        )


def _to_8bit(image: Image.Image, value_range: ValueRange | None) -> Image.Image:
    """The decoded image with at most 8 bits a channel.

    Pillow would clip greater values instead of scaling them. 16-bit integers of PNG and PPM go from
    black to white by definition; those of TIFF, with a sign or not, and floats have the range
    ``value_range``.
    """
    # Most formats have 8 bits.
    image.load()
    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return image.copy()

    # The range of values, from black to white.
    values = np.asarray(image).astype(np.float64)
    if value_range is not None:
        low, high = value_range
    elif image.format in FULL_RANGE:
        low = 0.0
        high = FULL_RANGE[image.format]
    else:
        raise ValueError(
            f"{image.format} with values from {values.min():g} to {values.max():g}, whose black and"
            " white the file does not define: set data.value_range=[low,high], or --value-range of"
            " gan-zoo pack"
        )

    # Scaled to 0..255.
    scaled = (values - low) / (high - low) * 255
    gray = Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
    gray.info = image.info
    return gray


def resize_and_crop(image: Image.Image, size: ImageSize) -> Image.Image:
    """The image, resized to cover ``size`` and its center cropped."""
    height, width = height_and_width(size)
    if image.size == (width, height):
        return image
    # Cover both sides, then cut what is too long from both ends.
    scale = max(width / image.width, height / image.height)
    new = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    image = image.resize(new, Image.Resampling.BICUBIC)
    left, top = (new[0] - width) // 2, (new[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


def why_unreadable(error: Exception) -> str:
    """The reason why a file could not be decoded, in one line."""
    if isinstance(error, UnidentifiedImageError):  # its text names an object in memory
        return "not an image of a known format"
    return " ".join((str(error) or type(error).__name__).split())


def fill_array(
    array: np.ndarray[Any, Any], make: Callable[[int], np.ndarray[Any, Any]], title: str
) -> dict[int, Exception]:
    """Fill every row with what ``make(row)`` returns, several at a time.

    The rows that failed, and why.
    """
    from concurrent.futures import ThreadPoolExecutor

    def attempt(row: int) -> tuple[int, Exception | None]:
        try:
            array[row] = make(row)
        except UNREADABLE as error:
            return row, error
        return row, None

    total = len(array)
    pool = ThreadPoolExecutor()
    try:  # in blocks: pending tasks would take memory
        blocks = (range(first, min(first + AT_ONCE, total)) for first in range(0, total, AT_ONCE))
        results = with_progress(
            (result for block in blocks for result in pool.map(attempt, block)), total, title
        )
        return {row: error for row, error in results if error is not None}
    finally:  # at Ctrl-C pending tasks are canceled
        pool.shutdown(wait=False, cancel_futures=True)
