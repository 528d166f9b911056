"""Differentiable augmentation with a fixed strength."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_zoo.augmentation.base import (
    Augmentation,
    Change,
    check_names,
    randint,
    require_images,
    uniform,
)
from gan_zoo.augmentation.transforms import (
    adjust_contrast,
    adjust_saturation,
    restore_channels,
    translate,
)


class DiffAugment(Augmentation):
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
        self.changes: dict[str, Change] = {
            "color": color,
            "translation": translation,
            "cutout": cutout,
        }
        check_names("policies", policies, self.changes)
        self.policies = tuple(policies)

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        require_images(x)
        for name in self.policies:
            x = self.changes[name](x, colored or x.shape[1])
        return x


def color(x: Tensor, colored: int) -> Tensor:
    """Random brightness, saturation and contrast."""
    colors = x[:, :colored] + uniform(x, -0.5, 0.5)[:, None, None, None]

    # A single channel has no saturation.
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
    rows, columns = (random_span(x, side, int(side / 2 + 0.5)) for side in x.shape[2:])
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def random_span(x: Tensor, side: int, length: int) -> Tensor:
    """A mask ``[B, side]`` of ``length`` consecutive pixels at a random place."""
    # The center may be anywhere, so a part of the span may lie outside.
    first = randint(x, 0, side - length % 2)[:, None] - length // 2
    pixel = torch.arange(side, device=x.device)
    return (pixel >= first) & (pixel < first + length)
