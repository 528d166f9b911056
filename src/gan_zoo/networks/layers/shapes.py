"""Checks of the shapes of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence


def square_image(
    sample_shape: Sequence[int], network: str, smallest: int = 8, largest: int = 256
) -> tuple[int, int]:
    """The channels and the side of square images whose side is a power of two.

    Raises:
        ValueError: naming ``network`` and what it can make, for any other shape.
    """
    allowed = [2**k for k in range(int(math.log2(smallest)), int(math.log2(largest)) + 1)]
    if len(sample_shape) != 3:
        advice = "model=gan for vectors"
        if len(sample_shape) == 2:
            advice = "model=wavegan loss=wgan_gp for sounds"
        raise ValueError(
            f"{network} works on images; the data's sample_shape is {list(sample_shape)}: use"
            f" {advice}"
        )
    channels, height, width = sample_shape
    if height != width or height not in allowed:
        sizes = ", ".join(map(str, allowed))
        raise ValueError(
            f"{network} works on square images of {sizes} pixels, got {height}x{width}: set"
            " data.image_size"
        )
    return channels, height
