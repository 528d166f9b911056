"""Changes of images ``[B, C, H, W]`` whose strength is given for each sample, ``[B]``.

Without randomness, without loops over the batch, and differentiable any number of times by the images. The neutral
strength gives the images back exactly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def saturated(x: Tensor, factor: Tensor) -> Tensor:
    """Colors pulled from the gray of their mean by ``factor`` ``[B]``: 0 is gray, 1 changes nothing."""
    factor = factor[:, None, None, None]
    return x * factor + x.mean(1, keepdim=True) * (1 - factor)


def contrasted(x: Tensor, factor: Tensor) -> Tensor:
    """Values pulled from the image's mean by ``factor`` ``[B]``: 0 is flat, 1 changes nothing."""
    factor = factor[:, None, None, None]
    return x * factor + x.mean((1, 2, 3), keepdim=True) * (1 - factor)


def luma_flipped(x: Tensor, flip: Tensor) -> Tensor:
    """Light and dark exchanged where ``flip`` ``[B]`` is 1, hue and saturation kept; gray images are negated."""
    return x - 2 * flip[:, None, None, None] * x.mean(1, keepdim=True)


def hue_rotated(x: Tensor, angle: Tensor) -> Tensor:
    """RGB turned around the gray axis by ``angle`` ``[B]``: a third of a circle makes red green, green blue."""
    cos, sin = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]
    across = (x.roll(1, 1) - x.roll(-1, 1)) / math.sqrt(3)  # the cross product of the axis with the color
    return x * cos + across * sin + x.mean(1, keepdim=True) * (1 - cos)


def with_channels(seen: Tensor, x: Tensor) -> Tensor:
    """``seen`` with the channels of ``x`` that it lacks."""
    return seen if seen.shape[1] == x.shape[1] else torch.cat([seen, x[:, seen.shape[1] :]], 1)


def flipped(x: Tensor, flip: Tensor) -> Tensor:
    """Left and right exchanged where ``flip`` ``[B]`` is true."""
    return torch.where(flip[:, None, None, None], x.flip(3), x)


def turned(x: Tensor, quarters: Tensor) -> Tensor:
    """Images turned left by ``quarters`` ``[B]`` right angles; odd numbers need square images."""
    quarters = quarters[:, None, None, None]
    if x.shape[2] == x.shape[3]:
        x = torch.where(quarters % 2 == 1, x.rot90(1, (2, 3)), x)
    return torch.where(quarters >= 2, x.rot90(2, (2, 3)), x)


def shifted(x: Tensor, down: Tensor, right: Tensor, mirror: bool = False) -> Tensor:
    """Images moved by whole pixels ``[B]``; what flows in is zero, or the image mirrored at its border."""
    height, width = x.shape[2:]
    rows, columns = centered(x)
    rows, columns = rows + (height - 1) / 2 - down[:, None, None], columns + (width - 1) / 2 - right[:, None, None]
    moved = picked(x, mirrored(rows, height).long(), mirrored(columns, width).long())
    if mirror:
        return moved
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return moved.masked_fill(~inside[:, None], 0)


def placed(
    x: Tensor, scale: Tensor, before: Tensor, stretch: Tensor, after: Tensor, down: Tensor, right: Tensor
) -> Tensor:
    """Images scaled, turned, stretched in width (and squeezed in height), turned and shifted around their center.

    All arguments are ``[B]``; angles in radians, shifts in sides of the image. Each output pixel asks, through the
    inverse of these steps in reverse order, where it comes from.
    """
    height, width = x.shape[2:]
    rows, columns = centered(x)
    rows, columns = rows - height * down[:, None, None], columns - width * right[:, None, None]
    rows, columns = rotated(rows, columns, after)
    rows, columns = rows * stretch[:, None, None], columns / stretch[:, None, None]
    rows, columns = rotated(rows, columns, before)
    rows, columns = rows / scale[:, None, None], columns / scale[:, None, None]
    return sampled(x, rows + (height - 1) / 2, columns + (width - 1) / 2)


def centered(x: Tensor) -> tuple[Tensor, Tensor]:
    """The places of rows ``[1, H, 1]`` and columns ``[1, 1, W]`` in pixels from the center."""
    rows, columns = (torch.arange(side, device=x.device) - (side - 1) / 2 for side in x.shape[2:])
    return rows[None, :, None], columns[None, None, :]


def rotated(rows: Tensor, columns: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Places turned around the center by ``angle`` ``[B]``."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return rows * cos - columns * sin, columns * cos + rows * sin


def sampled(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of ``x`` at fractional places ``[B, H, W]``, bilinear and mirrored at the borders.

    Whole places give the pixels themselves, exactly. Unlike `torch.nn.functional.grid_sample`, which lacked the second
    derivative that gradient penalties need, it differentiates any number of times.
    """
    height, width = x.shape[2:]
    rows, columns = mirrored(rows, height), mirrored(columns, width)
    top, left = rows.floor(), columns.floor()
    below, beside = (rows - top)[:, None], (columns - left)[:, None]
    i, j = top.long(), left.long()
    i_next, j_next = (i + 1).clamp_max(height - 1), (j + 1).clamp_max(width - 1)
    upper = picked(x, i, j) * (1 - beside) + picked(x, i, j_next) * beside
    lower = picked(x, i_next, j) * (1 - beside) + picked(x, i_next, j_next) * beside
    return upper * (1 - below) + lower * below


def picked(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of ``x`` at whole places that broadcast to ``[B, H, W]``."""
    index = (rows * x.shape[3] + columns).flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, index).view_as(x)


def mirrored(place: Tensor, side: int) -> Tensor:
    """Places beyond 0 and ``side`` - 1 mirrored there, as often as it takes."""
    last = max(side - 1, 1)
    return (last - (place.abs() % (2 * last) - last).abs()).clamp_max(side - 1)
