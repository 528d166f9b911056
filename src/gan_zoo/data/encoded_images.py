"""Image files inside of shards, decoded when a batch needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import ImageSize, height_and_width
from gan_zoo.data.files.image_io import UNREADABLE, ValueRange, decode, why_unreadable
from gan_zoo.data.streamed_images import StreamedImages


class EncodedImages(Protocol):
    """Image files, each read by its number."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> bytes:
        """The bytes of the image file number ``row``; raises `DataError` if it is damaged."""
        ...

    def name(self, row: int) -> str:
        """Where that file is, for messages."""
        ...


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """A row to its image.

    Attributes:
        shards: where the files are.
        channels: C, 1 or 3.
        image_size: S, or H and W; images are resized to cover this, centers cropped.
        value_range: see `ValueRange`.
    """

    shards: EncodedImages
    channels: int
    image_size: ImageSize
    value_range: ValueRange | None = None

    def __call__(self, row: int) -> np.ndarray[Any, Any]:
        """The image ``[C, H, W]`` uint8; raises `DataError` if it is damaged."""
        content = self.shards.read(row)
        try:
            return decode(content, self.channels, self.image_size, self.value_range)
        except UNREADABLE as error:
            raise DataError(
                f"{self.shards.name(row)} cannot be read: {why_unreadable(error)}"
            ) from error


def streamed(
    shards: EncodedImages,
    channels: int,
    image_size: ImageSize,
    value_range: ValueRange | None = None,
) -> StreamedImages:
    """All images of ``shards``, ``[N, C, H, W]``, of which nothing has been read yet.

    Arguments as of `DecodeRow`.
    """
    height, width = height_and_width(image_size)
    decoded = DecodeRow(shards, channels, image_size, value_range)
    return StreamedImages(decoded, range(len(shards)), channels, range(height), range(width))
