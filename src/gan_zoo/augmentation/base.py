"""Differentiable augmentation of the discriminator's inputs, for limited data.

Real and fake samples are augmented equally, in discriminator and generator steps, and gradients
reach the generator through the augmentation (Zhao et al. 2020, section 3; Karras et al. 2020,
section 2.2). The generator's own samples stay as they are.

Random numbers come from torch's default generators, which the training step seeds from seed, step
and rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.augmentation.transforms import (
    adjust_contrast,
    adjust_saturation,
    affine,
    flip_horizontal,
    flip_luma,
    restore_channels,
    rot90,
    rotate_hue,
    translate,
)
from gan_zoo.core.types import DiscriminatorOutput, Fraction

Change = Callable[[Tensor, int], Tensor]
"""Transforms images ``[B, C, H, W]``; only the first ``colored`` channels change their colors."""


class AugmentedDiscriminator(nn.Module):
    """A discriminator of augmented samples.

    Its `DiscriminatorOutput` carries the samples as they came, so that penalties differentiate
    through the augmentation. Conditions that are images of the same size (pix2pix) move along with
    the sample, their colors untouched. In evaluation mode the discriminator sees everything as it
    is.

    Args:
        discriminator: of ``[B, C, H, W]``; returns scores or a `DiscriminatorOutput`.
        augmentation: called with images and the number of channels that have colors, returns the
            same shape.
    """

    def __init__(self, discriminator: nn.Module, augmentation: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.augmentation = augmentation
        if hasattr(discriminator, "energy"):
            self.energy = discriminator.energy

    def forward(self, x: Tensor, *condition: Any) -> DiscriminatorOutput:
        require_images(x)
        augmented, *conditions = self.augment(x, *condition) if self.training else (x, *condition)
        output = self.discriminator(augmented, *conditions)
        return (
            replace(output, x=x) if isinstance(output, DiscriminatorOutput) else DiscriminatorOutput(score=output, x=x)
        )

    def augment(self, x: Tensor, *condition: Any) -> list[Any]:
        """The samples and their image conditions under the same random augmentation."""
        # Image conditions are transformed together with the samples.
        parts = [x, *condition]
        moving = [i for i, part in enumerate(parts) if is_same_size_image(part, x)]
        stack = torch.cat([parts[i] for i in moving], 1)
        changed = self.augmentation(stack, x.shape[1]).split([parts[i].shape[1] for i in moving], 1)
        for i, part in zip(moving, changed, strict=True):
            parts[i] = part
        return parts


class DiffAugment(nn.Module):
    """The same few strong changes for every sample, at random strengths.

    Zhao et al. 2020, section 4.

    ``color``: brightness by U(-1/2, 1/2), saturation by a factor U(0, 2), contrast around the
    image's mean by U(1/2, 3/2); ``translation``: by up to 1/8 of each side, zeros flow in;
    ``cutout``: a rectangle of half of each side becomes zero. They are applied in the order of the
    list.

    Args:
        policies: names of the changes; none leaves samples exactly as they are.
    """

    def __init__(self, policies: Sequence[str] = ("color", "translation", "cutout")) -> None:
        super().__init__()
        self.changes: dict[str, Change] = {"color": color, "translation": translation, "cutout": cutout}
        check_names("policies", policies, self.changes)
        self.policies = tuple(policies)

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        require_images(x)
        for name in self.policies:
            x = self.changes[name](x, colored or x.shape[1])
        return x


class ADAugment(nn.Module):
    """Invertible changes, each applied to each sample with probability p.

    Karras et al. 2020, appendix B.

    With p below about 0.8 the generator cannot hide its samples' distribution behind them, so
    augmentations do not leak into samples. ``blit``: left-right flip, rotations by 90 degrees (180
    where height and width differ), shifts by integer pixels by up to 1/8 of each side.
    ``geometry``: isotropic scale 2^N(0, 0.2), rotation, anisotropic scale 2^N(0, 0.2), rotation,
    shifts by N(0, 1/8) of each side; bilinear, where the paper has a wavelet filter. ``color``:
    brightness by N(0, 0.2), contrast 2^N(0, 0.5), luma flip, and, for RGB, hue rotation and
    saturation 2^N(0, 1). Images are reflected at their borders.

    Args:
        transforms: names of the groups, applied in the order of the list.
        p: initial probability, in [0, 1]; ``regularizer=ada`` changes it, otherwise it is constant.

    Attributes:
        p: the probability, a buffer: saved with the discriminator.
    """

    p: Tensor

    def __init__(self, transforms: Sequence[str] = ("blit", "geometry", "color"), p: Fraction = 0.0) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got {p}")
        check_names("transforms", transforms, ("blit", "geometry", "color"))
        self.transforms = tuple(transforms)
        self.register_buffer("p", torch.tensor(float(p)))

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        require_images(x)
        changes: dict[str, Change] = {"blit": self.blit, "geometry": self.geometry, "color": self.color}
        for name in self.transforms:
            x = changes[name](x, colored or x.shape[1])
        return x

    def apply_with_probability(self, value: Tensor, neutral: float, p: Tensor | None = None) -> Tensor:
        """``value`` ``[..., B]`` with probability p for each sample, else ``neutral``."""
        draws = torch.rand_like(value[..., 0, :] if value.ndim > 1 else value)
        return torch.where(draws < (self.p if p is None else p), value, neutral)

    def blit(self, x: Tensor, colored: int) -> Tensor:
        """Flip, turn and shift without mixing pixels."""
        # Each transformation has its own probability p; non-square images only rotate by 180
        # degrees.
        height, width = x.shape[2:]
        x = flip_horizontal(x, self.apply_with_probability(uniform(x, 0, 2).floor(), 0) == 1)
        quarters = self.apply_with_probability(uniform(x, 0, 4).floor(), 0)
        x = rot90(x, quarters if height == width else 2 * (quarters >= 2))
        down, right = self.apply_with_probability(uniform(x, -1 / 8, 1 / 8, 2), 0)
        return translate(x, (down * height).round(), (right * width).round(), mirror=True)

    def geometry(self, x: Tensor, colored: int) -> Tensor:
        """Scale, turn, stretch, turn and shift: one resampling."""
        p_rotation = 1 - (1 - self.p).sqrt()  # at least one of the two rotations has probability p
        before, after = (self.apply_with_probability(uniform(x, -math.pi, math.pi), 0, p_rotation) for _ in range(2))
        scale, stretch = (self.apply_with_probability(torch.exp2(normal(x, 0.2)), 1) for _ in range(2))
        down, right = self.apply_with_probability(normal(x, 1 / 8, 2), 0)
        return affine(x, scale, before, stretch, after, down, right)

    def color(self, x: Tensor, colored: int) -> Tensor:
        """Brightness, contrast, luma flip, hue and saturation."""
        colors = x[:, :colored] + self.apply_with_probability(normal(x, 0.2), 0)[:, None, None, None]
        colors = colors * self.apply_with_probability(torch.exp2(normal(x, 0.5)), 1)[:, None, None, None]
        colors = flip_luma(colors, self.apply_with_probability(uniform(x, 0, 2).floor(), 0))
        if colored == 3:
            colors = rotate_hue(colors, self.apply_with_probability(uniform(x, -math.pi, math.pi), 0))
            colors = adjust_saturation(colors, self.apply_with_probability(torch.exp2(normal(x, 1.0)), 1))
        return restore_channels(colors, x)


def color(x: Tensor, colored: int) -> Tensor:
    """Random brightness, saturation and contrast."""
    colors = x[:, :colored] + uniform(x, -0.5, 0.5)[:, None, None, None]
    if colored > 1:
        colors = adjust_saturation(colors, uniform(x, 0, 2))
    return restore_channels(adjust_contrast(colors, uniform(x, 0.5, 1.5)), x)


def translation(x: Tensor, colored: int) -> Tensor:
    """A random shift by up to 1/8 of each side, zeros flow in."""
    reaches = [int(side / 8 + 0.5) for side in x.shape[2:]]
    down, right = (randint(x, -reach, reach) for reach in reaches)
    return translate(x, down, right)


def cutout(x: Tensor, colored: int) -> Tensor:
    """A rectangle of half of each side, centered anywhere, becomes zero."""
    rows, columns = (cutout_mask(x, side, int(side / 2 + 0.5)) for side in x.shape[2:])
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def cutout_mask(x: Tensor, side: int, length: int) -> Tensor:
    """A mask ``[B, side]`` of ``length`` consecutive pixels at a random place."""
    first = randint(x, 0, side - length % 2)[:, None] - length // 2
    pixel = torch.arange(side, device=x.device)
    return (pixel >= first) & (pixel < first + length)


def uniform(x: Tensor, low: float, high: float, *count: int) -> Tensor:
    """Numbers from U(low, high), ``[*count, B]``."""
    return low + (high - low) * torch.rand(*count, len(x), device=x.device)


def normal(x: Tensor, std: float, *count: int) -> Tensor:
    """Numbers from N(0, std^2), ``[*count, B]``."""
    return std * torch.randn(*count, len(x), device=x.device)


def randint(x: Tensor, low: int, high: int) -> Tensor:
    """Random integers from low to high, both included, ``[B]``."""
    return torch.randint(low, high + 1, (len(x),), device=x.device)


def is_same_size_image(part: Any, x: Tensor) -> bool:
    """Whether ``part`` holds images of the size of ``x``."""
    return isinstance(part, Tensor) and part.ndim == 4 and part.shape[2:] == x.shape[2:]


def require_images(x: Tensor) -> None:
    """Raise `ValueError` unless ``x`` is ``[B, C, H, W]``."""
    if x.ndim != 4:
        raise ValueError(
            f"augmentation works on images [B, C, H, W], got samples of shape {list(x.shape)}: add augment=none"
        )


def check_names(argument: str, names: Sequence[str], known: Collection[str]) -> None:
    """Raise `ValueError` unless ``names`` is a list of names from ``known``."""
    unknown = [names] if isinstance(names, str) else [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{argument} must be a list of {', '.join(known)}, got {unknown[0]!r}")
