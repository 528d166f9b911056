"""Images that are translated in overlapping tiles."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import torch
from torch import Tensor


def in_tiles(
    translate: Callable[[Tensor], Tensor], image: Tensor, tile: int, overlap: int
) -> Tensor:
    """``translate`` applied to overlapping tiles, which fade into each other where they overlap.

    Args:
        translate: uint8 ``[C, h, w]`` to uint8 ``[C', s h, s w]`` with one whole s for all tiles.
        image: uint8 ``[C, H, W]``.
        tile: largest side of a tile.
        overlap: least number of rows or columns that neighbors share, below ``tile``.

    Returns:
        uint8 ``[C', s H, s W]``; an image that fits a single tile is translated as a whole.
    """
    height, width = image.shape[1:]
    if max(height, width) <= tile:
        return translate(image)

    # The weighted sum of all tiles, and the sum of the weights.
    total = torch.zeros(0)
    weights = torch.zeros(0)
    for top in tile_starts(height, tile, overlap):
        for left in tile_starts(width, tile, overlap):
            piece = translate(image[:, top : top + tile, left : left + tile]).float()
            scale = piece.shape[1] // min(tile, height)
            if not len(total):
                total = torch.zeros(len(piece), scale * height, scale * width)
                weights = torch.zeros(scale * height, scale * width)
            weight = torch.outer(*(ramp(side, scale * overlap) for side in piece.shape[1:]))
            rows = slice(scale * top, scale * top + piece.shape[1])
            columns = slice(scale * left, scale * left + piece.shape[2])
            total[:, rows, columns] += weight * piece
            weights[rows, columns] += weight
    return (total / weights).round().to(torch.uint8)


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin: as few as possible, evenly spread, that share at least ``overlap``."""
    if length <= tile:
        return [0]
    count = ceil((length - overlap) / (tile - overlap))
    return [round(k * (length - tile) / (count - 1)) for k in range(count)]


def ramp(length: int, overlap: int) -> Tensor:
    """Weights ``[length]`` that rise from the edges inward over ``overlap`` places, then stay 1."""
    place = torch.arange(1, length + 1, dtype=torch.float32)
    distance = torch.minimum(place, length + 1 - place)
    return (distance / (overlap + 1)).clamp(max=1.0)
