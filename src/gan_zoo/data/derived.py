"""Conditions made from samples: the same, smaller, masked, gray or noisy images, and edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Count, Fraction, Positive, Weight
from gan_zoo.data.dataset import Source

OWN_MODULES = ("gan_zoo.data.derived", "gan_zoo.data.derived_sounds")
MASKS = ("center", "boxes", "brush")
LUMA = (0.299, 0.587, 0.114)


class Derivation:
    """Maps images ``[B, C, H, W]`` in [-1, 1] to condition images ``[B, C', H', W']`` in [-1, 1],
    or sounds to spectrograms.

    Random numbers come from the batch, so that conditions resume and do not depend on the number of
    processes.
    """

    applies_to_files: ClassVar[bool] = False
    """Whether `gan-zoo translate` makes conditions of the images that it is given, which are
    conditions otherwise.
    """

    dimensions: ClassVar[int] = 3
    """Of the samples that it works on."""

    works_on: ClassVar[str] = "images"
    """What these are called."""

    def condition_shape(self, sample_shape: Sequence[int]) -> list[int]:
        """Shape of the conditions of samples of this shape, for images ``[C, H, W]``.

        Raises:
            DataError: if there are none.
        """
        return list(sample_shape)

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        """The conditions of ``images``."""
        raise NotImplementedError


class Copy(Derivation):
    """The images themselves, for models that translate samples to another class."""

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        return images


class Downscale(Derivation):
    """Images of 1 / ``factor`` of the size, by antialiased bicubic resampling (super-resolution).

    Args:
        factor: >= 2; divides the sides.
    """

    def __init__(self, factor: Count = 4) -> None:
        if factor < 2:
            raise DataError(f"data.derive.factor must be >= 2, got {factor}")
        self.factor = factor

    def condition_shape(self, sample_shape: Sequence[int]) -> list[int]:
        channels, height, width = sample_shape
        if height % self.factor or width % self.factor:
            raise DataError(
                f"data.derive.factor must divide the sides {height} and {width}, got {self.factor}"
            )
        return [channels, height // self.factor, width // self.factor]

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        size = [side // self.factor for side in images.shape[2:]]
        return F.interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1)


class Mask(Derivation):
    """Inpainting: images with a gray hole, and the mask as a channel, 1 in the hole, else -1.

    Args:
        kind: ``center`` for the square in the middle, ``boxes`` for random rectangles, ``brush``
            for random strokes.
        size: side of the square as a fraction of the image, and largest side of a rectangle.
        count: of rectangles or strokes.
    """

    applies_to_files: ClassVar[bool] = True

    def __init__(self, kind: str = "center", size: Fraction = 0.5, count: Count = 3) -> None:
        if kind not in MASKS:
            raise DataError(f"data.derive.kind must be one of {', '.join(MASKS)}, got {kind!r}")
        if not 0 < size < 1:
            raise DataError(f"data.derive.size must be in (0, 1), got {size}")
        self.kind = kind
        self.size = size
        self.count = count

    def condition_shape(self, sample_shape: Sequence[int]) -> list[int]:
        channels, height, width = sample_shape
        return [channels + 1, height, width]

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        hole = self.holes(images, rng)
        return torch.cat([images.masked_fill(hole, 0.0), 2 * hole.to(images) - 1], 1)

    def holes(self, images: Tensor, rng: StepRNG) -> Tensor:
        """Where the holes are, bool ``[B, 1, H, W]``."""
        # Positions are fractions of the height and of the width.
        size, _, height, width = images.shape
        rows = torch.linspace(0, 1, height, device=images.device).view(1, 1, -1, 1)
        columns = torch.linspace(0, 1, width, device=images.device).view(1, 1, 1, -1)
        if self.kind == "center":
            inside = ((rows - 0.5).abs() <= self.size / 2) & (
                (columns - 0.5).abs() <= self.size / 2
            )
            return inside.expand(size, -1, -1, -1)

        # Centers and half sides of the rectangles, or ends of the strokes, [B, count, 1, 1].
        draws = rng.uniform("mask", size, 4, self.count).to(images)
        first, second, third, fourth = (part[:, :, None, None] for part in draws.unbind(1))
        if self.kind == "boxes":
            half_height = (0.25 + 0.75 * third) * self.size / 2
            half_width = (0.25 + 0.75 * fourth) * self.size / 2
            inside = ((rows - first).abs() <= half_height) & (
                (columns - second).abs() <= half_width
            )
        else:
            inside = (
                distance_to_segment(rows, columns, first, second, third, fourth) <= self.size / 8
            )
        return inside.any(1, keepdim=True)


def distance_to_segment(
    rows: Tensor, columns: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor
) -> Tensor:
    """Distance of each pixel to the segment between two points, in fractions of the image."""
    down = bottom - top
    across = right - left

    # The projection of each pixel on the line; a stroke may have no length.
    along = ((rows - top) * down + (columns - left) * across) / (
        down.square() + across.square()
    ).clamp(min=1e-8)
    # Beyond its ends, the ends of the segment are nearest.
    along = along.clamp(0, 1)
    return (
        (rows - top - along * down).square() + (columns - left - along * across).square()
    ).sqrt()


@lru_cache
def luma_weights(device: torch.device, dtype: torch.dtype) -> Tensor:
    """`LUMA` ``[1, 3, 1, 1]``, copied to ``device`` once."""
    return torch.tensor(LUMA, device=device, dtype=dtype).view(1, 3, 1, 1)


class Gray(Derivation):
    """The luma of RGB images, one channel (colorization; weights of ITU-R BT.601)."""

    def condition_shape(self, sample_shape: Sequence[int]) -> list[int]:
        channels, height, width = sample_shape
        if channels != 3:
            raise DataError(
                f"data/derive=gray needs RGB images, got {channels} channels: set data.channels=3"
            )
        return [1, height, width]

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        weights = luma_weights(images.device, images.dtype)
        return (images * weights).sum(1, keepdim=True)


class Noise(Derivation):
    """Blurred images with Gaussian noise, clipped to [-1, 1] (restoration).

    Args:
        blur: standard deviation of the Gaussian kernel in pixels; 0 for none.
        std: of the noise, in the units of [-1, 1].
    """

    def __init__(self, blur: Weight = 1.0, std: Weight = 0.2) -> None:
        self.blur = blur
        self.std = std

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        noise = rng.normal("derived noise", *images.shape).to(images)
        blurred = blurred_by(images, self.blur) if self.blur else images
        return (blurred + self.std * noise).clamp(-1, 1)


def blurred_by(images: Tensor, std: Positive) -> Tensor:
    """Images convolved with a Gaussian of this standard deviation; borders are reflected."""
    # Three deviations hold nearly all of a Gaussian; reflection needs a larger image.
    reach = min(math.ceil(3 * std), images.shape[-1] - 1, images.shape[-2] - 1)
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = (-places.square() / (2 * std**2)).exp()
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    down = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(down, kernel.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)


class Edges(Derivation):
    """Sobel gradient magnitude of the luma, one channel, -1 if flat to 1 for a full step.

    Args:
        gain: factor on the magnitude before it is clipped at 1.
    """

    applies_to_files: ClassVar[bool] = True

    def __init__(self, gain: Positive = 1.0) -> None:
        self.gain = gain

    def condition_shape(self, sample_shape: Sequence[int]) -> list[int]:
        _, height, width = sample_shape
        return [1, height, width]

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        luma = images.mean(1, keepdim=True) if images.shape[1] != 3 else Gray()(images, rng)
        sobel = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        padded = F.pad(luma, (1, 1, 1, 1), mode="replicate")
        across = F.conv2d(padded, sobel[None, None])
        down = F.conv2d(padded, sobel.T[None, None])
        # A step from -1 to 1 has a gradient of 8.
        magnitude = (across.square() + down.square()).sqrt() / 8
        return 2 * (self.gain * magnitude).clamp(max=1.0) - 1


def derivation_of(options: Mapping[str, Any]) -> Derivation | None:
    """The derivation that a config describes, where it is one of `OWN_MODULES`; None where it is
    another class.
    """
    arguments = dict(options)
    module, _, name = str(arguments.pop("_target_", "")).rpartition(".")
    kind = getattr(import_module(module), name, None) if module in OWN_MODULES else None
    if not (isinstance(kind, type) and issubclass(kind, Derivation)):
        return None
    derivation: Derivation = kind(**arguments)
    return derivation


def with_derived_conditions(
    source: Source, derivation: Derivation, unpaired: bool = False
) -> Source:
    """``source``, and its held-out part, whose conditions are made from the samples of each batch.

    Args:
        source: images or sounds without conditions.
        derivation: makes the conditions.
        unpaired: whether training sees samples and conditions in independent orders.

    Raises:
        DataError: if there are conditions already, or the samples are none that it works on.
    """
    if source.conditions is not None:
        raise DataError(
            f"data/derive makes conditions, and data={source.name} has some: choose one of them"
        )
    if len(source.sample_shape) != derivation.dimensions:
        raise DataError(
            f"data/derive works on {derivation.works_on}; data={source.name} has samples of shape"
            f" {source.sample_shape}"
        )

    # Raises for shapes that have no conditions; the held-out part is derived once it is loaded.
    derivation.condition_shape(source.sample_shape)
    held_out = None
    if source.held_out is not None:
        held_out = partial(_derived_part, source.held_out, derivation, unpaired)
    return replace(source, derivation=derivation, unpaired=unpaired, held_out=held_out)


def _derived_part(make: Callable[[], Source], derivation: Derivation, unpaired: bool) -> Source:
    return with_derived_conditions(make(), derivation, unpaired)
