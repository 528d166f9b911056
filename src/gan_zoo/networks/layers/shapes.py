"""Checks of the shapes of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

SHORTEST_END = 4
"""Pixels of the shorter side after all halvings, at least; below twice as many at most."""


def rectangular_image(
    sample_shape: Sequence[int], network: str
) -> tuple[int, int, tuple[int, int]]:
    """The channels of images, how often both sides can be halved, and the sides after that.

    The shorter side is then 4 to 7 pixels long: sides are k 2^n for n >= 1.

    Raises:
        ValueError: naming ``network`` and what it can make, for any other shape.
    """
    channels, height, width = require_image(sample_shape, network)
    # Odd sides cannot be halved, and at 4 to 7 pixels there is enough left for a last layer.
    halvings = 0
    while min(height, width) >= 2 * SHORTEST_END and height % 2 == width % 2 == 0:
        height, width, halvings = height // 2, width // 2, halvings + 1
    if not halvings or not SHORTEST_END <= min(height, width) < 2 * SHORTEST_END:
        raise ValueError(
            f"{network} works on images whose sides can be halved together until the shorter one"
            " has 4 to 7 pixels, such as 64x64, 48x64 or 96x320, got"
            f" {sample_shape[1]}x{sample_shape[2]}: set data.image_size"
        )
    return channels, halvings, (height, width)


def require_image(sample_shape: Sequence[int], network: str) -> Sequence[int]:
    """The shape of images ``[C, H, W]``; raises `ValueError` for other samples."""
    # Name a model that goes with the data.
    if len(sample_shape) != 3:
        advice = "model=gan for vectors, model=ctgan for tables"
        if len(sample_shape) == 2:
            advice = "model=wavegan loss=wgan_gp for sounds"
        raise ValueError(
            f"{network} works on images; the data's sample_shape is {list(sample_shape)}: use"
            f" {advice}"
        )
    return sample_shape


def square_image(
    sample_shape: Sequence[int], network: str, smallest: int = 8, largest: int = 256
) -> tuple[int, int]:
    """The channels and the side of square images whose side is a power of two.

    Raises:
        ValueError: naming ``network`` and what it can make, for any other shape.
    """
    allowed = [2**k for k in range(int(math.log2(smallest)), int(math.log2(largest)) + 1)]
    channels, height, width = require_image(sample_shape, network)
    if height != width or height not in allowed:
        sizes = ", ".join(map(str, allowed))
        raise ValueError(
            f"{network} works on square images of {sizes} pixels, got {height}x{width}: set"
            " data.image_size"
        )
    return channels, height
