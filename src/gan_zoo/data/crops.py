"""Random crops of images in training, their centers in evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.data.dataset import Source


def with_crops(source: Source, image_size: int) -> Source:
    """``source``, of whose larger images training sees random crops and evaluation the centers.

    Args:
        source: images ``[N, C, L, L]``, and conditions, if they are images, of the same size.
        image_size: S < L, the side of the crops.

    Raises:
        DataError: if the samples are no images, or not larger than the crops.
    """
    if source.samples.ndim != 4:
        raise DataError(
            f"data.load_size is for images; data={source.name} has samples of shape "
            f"{source.sample_shape}"
        )
    sides = {source.samples.shape[-1]}
    conditions = source.conditions
    images = conditions if conditions is not None and conditions.ndim == 4 else None
    if images is not None:
        sides.add(images.shape[-1])
    if min(sides) < image_size or len(sides) > 1:
        raise DataError(
            f"data.load_size must be larger than data.image_size={image_size}, and the same for "
            f"samples and conditions; images have {sorted(sides)} pixels"
        )
    held_out = None
    if source.held_out is not None:
        held_out = partial(_cropped_part, source.held_out, image_size)
    return replace(
        source,
        samples=center(source.samples, image_size),
        conditions=conditions if images is None else center(images, image_size),
        uncropped=source.samples,
        uncropped_conditions=images,
        held_out=held_out,
    )


def _cropped_part(make: Callable[[], Source], image_size: int) -> Source:
    return with_crops(make(), image_size)


def center(images: Tensor, side: int) -> Tensor:
    """The central ``[N, C, side, side]`` of images, without a copy."""
    first = (images.shape[-1] - side) // 2
    return images[:, :, first : first + side, first : first + side]


def random_corners(images: Tensor, side: int, rng: StepRNG, purpose: str) -> tuple[Tensor, Tensor]:
    """The first row and column of a crop for each image, two tensors ``[B]``."""
    places = images.shape[-1] - side + 1
    rows = rng.randint(f"rows of {purpose}", len(images), 0, places)
    columns = rng.randint(f"columns of {purpose}", len(images), 0, places)
    return rows.to(images.device), columns.to(images.device)


def crop_conditions(
    conditions: Tensor | None, corners: tuple[Tensor, Tensor], side: int
) -> Tensor | None:
    """Crops of conditions that are images; others stay as they are."""
    if conditions is None or conditions.ndim != 4:
        return conditions
    return crop(conditions, corners, side)


def crop(images: Tensor, corners: tuple[Tensor, Tensor], side: int) -> Tensor:
    """Crops ``[B, C, side, side]`` of images at these corners."""
    offsets = torch.arange(side, device=images.device)
    rows = (corners[0][:, None] + offsets)[:, None, :, None]
    columns = (corners[1][:, None] + offsets)[:, None, None, :]
    samples = torch.arange(len(images), device=images.device)[:, None, None, None]
    channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return images[samples, channels, rows, columns]
