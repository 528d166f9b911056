"""Transformations of images ``[B, C, H, W]`` with a strength for each sample, ``[B]``.

Without randomness, without loops over the batch, and differentiable any number of times by the
images. The neutral strength returns the images exactly.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def adjust_saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Scales the difference from gray by ``factor`` ``[B]``: 0 is gray, 1 is the identity."""
    factor = factor[:, None, None, None]
    return x * factor + x.mean(1, keepdim=True) * (1 - factor)


def adjust_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Scales the difference from the mean by ``factor`` ``[B]``: 0 is constant, 1 the identity."""
    factor = factor[:, None, None, None]
    return x * factor + x.mean((1, 2, 3), keepdim=True) * (1 - factor)


def flip_luma(x: Tensor, flip: Tensor) -> Tensor:
    """Inverts the luma where ``flip`` ``[B]`` is 1, keeping hue and saturation.

    Gray images are negated.
    """
    return x - 2 * flip[:, None, None, None] * x.mean(1, keepdim=True)


def rotate_hue(x: Tensor, angle: Tensor) -> Tensor:
    """Rotates RGB around the gray axis by ``angle`` ``[B]``; 2 pi / 3 maps red to green."""
    cos, sin = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]
    # The cross product of the axis with the color.
    across = (x.roll(1, 1) - x.roll(-1, 1)) / math.sqrt(3)
    return x * cos + across * sin + x.mean(1, keepdim=True) * (1 - cos)


def restore_channels(colors: Tensor, x: Tensor) -> Tensor:
    """``colors`` followed by the remaining channels of ``x``."""
    return (
        colors if colors.shape[1] == x.shape[1] else torch.cat([colors, x[:, colors.shape[1] :]], 1)
    )


def flip_horizontal(x: Tensor, flip: Tensor) -> Tensor:
    """Flips images left to right where ``flip`` ``[B]`` is true."""
    return torch.where(flip[:, None, None, None], x.flip(3), x)


def rot90(x: Tensor, quarters: Tensor) -> Tensor:
    """Rotates images left by ``quarters`` ``[B]`` right angles; odd numbers need square images."""
    quarters = quarters[:, None, None, None]
    if x.shape[2] == x.shape[3]:
        x = torch.where(quarters % 2 == 1, x.rot90(1, (2, 3)), x)
    return torch.where(quarters >= 2, x.rot90(2, (2, 3)), x)


def translate(x: Tensor, down: Tensor, right: Tensor, mirror: bool = False) -> Tensor:
    """Shifts images by integer pixels ``[B]``; borders are filled with zeros or by reflection."""
    height, width = x.shape[2:]
    rows, columns = centered_grid(x)

    # Where each output pixel comes from.
    rows = rows + (height - 1) / 2 - down[:, None, None]
    columns = columns + (width - 1) / 2 - right[:, None, None]

    # Places outside are reflected, and then set to zero if zeros flow in.
    moved = gather_pixels(x, reflect(rows, height).long(), reflect(columns, width).long())
    if mirror:
        return moved
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return moved.masked_fill(~inside[:, None], 0)


def affine(
    x: Tensor,
    scale: Tensor,
    before: Tensor,
    stretch: Tensor,
    after: Tensor,
    down: Tensor,
    right: Tensor,
) -> Tensor:
    """Scales, rotates, stretches in width (and squeezes in height), rotates and shifts images.

    All arguments are ``[B]``; angles in radians, shifts in sides of the image. The source of each
    output pixel is found by the inverse of these steps in reverse order. All are around the image's
    center.
    """
    height, width = x.shape[2:]
    rows, columns = centered_grid(x)

    # The inverse of each step, the last one first.
    rows = rows - height * down[:, None, None]
    columns = columns - width * right[:, None, None]
    rows, columns = rotate_grid(rows, columns, after)
    rows = rows * stretch[:, None, None]
    columns = columns / stretch[:, None, None]
    rows, columns = rotate_grid(rows, columns, before)
    rows = rows / scale[:, None, None]
    columns = columns / scale[:, None, None]
    return bilinear_sample(x, rows + (height - 1) / 2, columns + (width - 1) / 2)


def amplify_bands(x: Tensor, gains: Tensor) -> Tensor:
    """Multiplies four frequency bands by ``gains`` ``[B, 4]``, from low to high; gains of 1 are the
    identity.

    The bands are [0, pi/8], [pi/8, pi/4], [pi/4, pi/2] and [pi/2, pi], in rows and columns one
    after the other.
    """
    kernel = (gains.double() @ frequency_bands().to(gains.device)).to(x.dtype)
    images, channels, height, width = x.shape
    reach = kernel.shape[1] // 2

    # Every image has its own kernel: its channels are a group of the convolution.
    weight = kernel.repeat_interleave(channels, 0)[:, None]

    # The border is reflected as far as the kernel reaches.
    rows = reflect(torch.arange(-reach, height + reach, device=x.device), height)
    columns = reflect(torch.arange(-reach, width + reach, device=x.device), width)

    # Vertically first, then horizontally.
    groups = images * channels
    flat = x.reshape(1, groups, height, width)
    flat = torch.nn.functional.conv2d(flat[:, :, rows], weight[:, :, :, None], groups=groups)
    flat = torch.nn.functional.conv2d(flat[:, :, :, columns], weight[:, :, None, :], groups=groups)
    return flat.view_as(x)


@lru_cache
def frequency_bands() -> Tensor:
    """Symmetric filters ``[4, 43]`` of four frequency bands, whose sum is the identity; in double
    precision.

    With the half-band filter L(z) = H(z) H(1/z) / 2 of the sym2 wavelet's low pass H, and its
    complement 1 - L(z), the bands from low to high are L(z) L(z^2) L(z^4), L(z) L(z^2) (1 -
    L(z^4)), L(z) (1 - L(z^2)) and 1 - L(z).
    """
    root = math.sqrt(3)
    wavelet = torch.tensor([1 + root, 3 + root, 3 - root, 1 - root], dtype=torch.float64) / (
        4 * math.sqrt(2)
    )

    # The half-band filter L.
    low = _convolve(wavelet, wavelet.flip(0)) / 2

    # Each level splits off the upper part of what has passed so far.
    passed = torch.ones(1, dtype=torch.float64)
    bands: list[Tensor] = []
    for level in range(3):
        # The low pass at 2^level times the spacing, zeros in between.
        spread = torch.zeros(2**level * (len(low) - 1) + 1, dtype=torch.float64)
        spread[:: 2**level] = low
        complement = -spread
        complement[len(spread) // 2] += 1
        bands.insert(0, _convolve(passed, complement))
        passed = _convolve(passed, spread)
    bands.insert(0, passed)

    # All of one length, around a common center.
    longest = max(len(band) for band in bands)
    return torch.stack(
        [torch.nn.functional.pad(band, [(longest - len(band)) // 2] * 2) for band in bands]
    )


def _convolve(first: Tensor, second: Tensor) -> Tensor:
    """The full convolution of two one-dimensional filters."""
    reach = len(second) - 1
    return torch.nn.functional.conv1d(first[None], second.flip(0)[None, None], padding=reach)[0]


def centered_grid(x: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of rows ``[1, H, 1]`` and columns ``[1, 1, W]`` in pixels from the center."""
    rows, columns = (torch.arange(side, device=x.device) - (side - 1) / 2 for side in x.shape[2:])
    return rows[None, :, None], columns[None, None, :]


def rotate_grid(rows: Tensor, columns: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Rotates coordinates around the center by ``angle`` ``[B]``."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return rows * cos - columns * sin, columns * cos + rows * sin


def bilinear_sample(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Bilinear samples of ``x`` at coordinates ``[B, H, W]``, reflected at the borders.

    Integer coordinates give the pixels exactly. Unlike `torch.nn.functional.grid_sample`, which
    lacked the second derivative that gradient penalties need, it differentiates any number of
    times.
    """
    height, width = x.shape[2:]

    # The pixel above and left of each point, and the weights of its neighbors.
    rows = reflect(rows, height)
    columns = reflect(columns, width)
    top = rows.floor()
    left = columns.floor()
    row_weight = (rows - top)[:, None]
    column_weight = (columns - left)[:, None]
    i, j = top.long(), left.long()
    i_next = (i + 1).clamp_max(height - 1)
    j_next = (j + 1).clamp_max(width - 1)

    # Bilinear interpolation of the four pixels.
    upper = (
        gather_pixels(x, i, j) * (1 - column_weight) + gather_pixels(x, i, j_next) * column_weight
    )
    lower = (
        gather_pixels(x, i_next, j) * (1 - column_weight)
        + gather_pixels(x, i_next, j_next) * column_weight
    )
    return upper * (1 - row_weight) + lower * row_weight


def gather_pixels(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of ``x`` at integer coordinates that broadcast to ``[B, H, W]``."""
    index = (rows * x.shape[3] + columns).flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, index).view_as(x)


def reflect(place: Tensor, side: int) -> Tensor:
    """Reflects coordinates at 0 and ``side`` - 1, as often as necessary."""
    last = max(side - 1, 1)
    return (last - (place.abs() % (2 * last) - last).abs()).clamp_max(side - 1)
