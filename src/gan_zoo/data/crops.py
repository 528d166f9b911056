"""Random crops of images in training, their centers in evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import ImageSize, height_and_width
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.image_tensors import center


def with_crops(source: Source, image_size: ImageSize) -> Source:
    """``source``, of whose larger images training sees random crops and evaluation the centers.

    Args:
        source: images, and conditions, if they are images, of the same size.
        image_size: of the crops, not larger.

    Raises:
        DataError: if the samples are no images, or not larger than the crops.
    """
    if source.samples.ndim != 4:
        raise DataError(
            f"data.load_size is for images; data={source.name} has samples of shape "
            f"{source.sample_shape}"
        )

    # Samples and condition images must have one size: both get the same crop.
    crops = height_and_width(image_size)
    sizes = {tuple(source.samples.shape[2:])}
    conditions = source.conditions
    images = conditions if conditions is not None and conditions.ndim == 4 else None
    if images is not None:
        sizes.add(tuple(images.shape[2:]))
    is_larger = all(a >= b for size in sizes for a, b in zip(size, crops, strict=True))
    if not is_larger or len(sizes) > 1:
        found = " and ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise DataError(
            f"data.load_size must be larger than data.image_size={image_size}, and the same for "
            f"samples and conditions; images have {found} pixels"
        )

    # Evaluation sees centers, of held-out images as well.
    held_out = None
    if source.held_out is not None:
        held_out = partial(_cropped_part, source.held_out, image_size)
    return replace(
        source,
        samples=center(source.samples, crops),
        conditions=conditions if images is None else center(images, crops),
        uncropped=source.samples,
        uncropped_conditions=images,
        held_out=held_out,
        fingerprint=cache_key("center crops", source.fingerprint, list(crops)),
    )


def _cropped_part(make: Callable[[], Source], image_size: ImageSize) -> Source:
    return with_crops(make(), image_size)


def random_corners(
    images: Tensor, sides: Sequence[int], rng: StepRNG, purpose: str
) -> tuple[Tensor, Tensor]:
    """The first row and column of a crop for each image, two tensors ``[B]``."""
    places = [images.shape[2 + axis] - sides[axis] + 1 for axis in range(2)]
    rows = rng.randint(f"rows of {purpose}", len(images), 0, places[0])
    columns = rng.randint(f"columns of {purpose}", len(images), 0, places[1])
    return rows.to(images.device), columns.to(images.device)


def crop_conditions(
    conditions: Tensor | None, corners: tuple[Tensor, Tensor], sides: Sequence[int]
) -> Tensor | None:
    """Crops of conditions that are images; others stay as they are."""
    if conditions is None or conditions.ndim != 4:
        return conditions
    return crop(conditions, corners, sides)


def crop(images: Tensor, corners: tuple[Tensor, Tensor], sides: Sequence[int]) -> Tensor:
    """Crops ``[B, C, *sides]`` of images at these corners."""
    down, right = (torch.arange(side, device=images.device) for side in sides)
    rows = (corners[0][:, None] + down)[:, None, :, None]
    columns = (corners[1][:, None] + right)[:, None, None, :]
    samples = torch.arange(len(images), device=images.device)[:, None, None, None]
    channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return images[samples, channels, rows, columns]
