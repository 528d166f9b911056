"""Conversions of image tensors: uint8 and [-1, 1], channels, size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.utils import make_grid

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import ImageSize, height_and_width


def to_unit(samples: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1], maps of truth values to 0 and 1; other numbers stay as
    they are.
    """
    if samples.dtype == torch.bool:
        return samples.float()
    return samples.float().div_(127.5).sub_(1.0) if samples.dtype == torch.uint8 else samples


def to_uint8(samples: Tensor) -> Tensor:
    """Images in [-1, 1] to uint8, the inverse of `to_unit`."""
    return samples.float().mul(127.5).add_(128).clamp_(0, 255).to(torch.uint8)


def grid_of(samples: Tensor, columns: int | None = None) -> Tensor:
    """Images ``[B, C, H, W]`` in [-1, 1] as one uint8 image ``[3, H', W']``, about square without
    ``columns``.
    """
    columns = columns or max(1, round(len(samples) ** 0.5))
    return make_grid(to_uint8(samples.cpu()), nrow=columns, padding=2, pad_value=255)


def to_pil(image: Tensor) -> Image.Image:
    """A uint8 image ``[1 or 3, H, W]`` as a Pillow image."""
    return Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy())


def fit_images(images: Tensor, channels: int, image_size: ImageSize) -> Tensor:
    """uint8 images ``[N, C, S, S]`` at the requested channels and size, centers for other sides.

    28 pixels become 32 by a border of the corner's gray value 0, so that MNIST keeps its pixels;
    every other change of size is an antialiased bilinear resize.
    """
    if images.shape[1:2] != (channels,):
        images = convert_channels(images, channels)
    sides = height_and_width(image_size)
    if images.shape[2:] == sides:
        return images
    if images.shape[-1] == 28 and sides == (32, 32):
        return F.pad(images, (2, 2, 2, 2))
    covering = torch.cat([_resize(piece, max(sides)) for piece in torch.split(images, 4096)])
    return center(covering, sides)


def center(images: Tensor, sides: Sequence[int]) -> Tensor:
    """The central ``[N, C, *sides]`` of images, without a copy."""
    top, left = ((images.shape[2 + axis] - sides[axis]) // 2 for axis in range(2))
    return images[:, :, top : top + sides[0], left : left + sides[1]]


def _resize(images: Tensor, side: int) -> Tensor:
    resized = F.interpolate(images.float(), (side, side), mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def convert_channels(images: Tensor, channels: int) -> Tensor:
    """Gray to RGB by repetition, RGB to gray by the luma of ITU-R 601."""
    if (images.shape[1], channels) == (1, 3):
        return images.expand(-1, 3, -1, -1).contiguous()
    if (images.shape[1], channels) == (3, 1):
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        return (images.float() * luma).sum(1, keepdim=True).round_().to(torch.uint8)
    raise DataError(f"data.channels must be 1 or 3, got {channels}")
