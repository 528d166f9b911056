"""Adaptive discriminator augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_zoo.augmentation.base import (
    Augmentation,
    Change,
    check_names,
    normal,
    require_images,
    uniform,
)
from gan_zoo.augmentation.transforms import (
    adjust_saturation,
    affine,
    amplify_bands,
    flip_horizontal,
    flip_luma,
    restore_channels,
    rot90,
    rotate_hue,
    translate,
)
from gan_zoo.core.overfitting import AdaptiveProbability, require_signed_scores
from gan_zoo.core.types import (
    AdversarialTerm,
    Count,
    DiscriminatorOutput,
    Finite,
    Fraction,
    LossTerms,
    Share,
)

TRANSFORMS = ("blit", "geometry", "color", "filter", "noise", "cutout")


class ADAugment(Augmentation):
    """Changes of which each is applied to each sample with probability p, which follows the
    overfitting.

    Karras et al. 2020 (StyleGAN2-ADA), section 3 and appendix B.

    With p below about 0.8 the generator cannot hide its samples' distribution behind them, so
    augmentations do not leak into samples. ``blit``: left-right flip, rotations by 90 degrees (180
    where height and width differ), shifts by integer pixels by up to 1/8 of each side.
    ``geometry``: isotropic scale 2^N(0, 0.2), rotation, anisotropic scale 2^N(0, 0.2), rotation,
    shifts by N(0, 1/8) of each side; bilinear, where the paper has a wavelet filter. ``color``:
    brightness by N(0, 0.2), contrast 2^N(0, 0.5), luma flip, and, for RGB, hue rotation and
    saturation 2^N(0, 1). ``filter``: four frequency bands amplified by 2^N(0, 1), at constant
    expected power. ``noise``: N(0, s^2) with s from |N(0, 0.1)|. ``cutout``: a rectangle of half of
    each side, centered anywhere, becomes zero. Images are reflected at their borders.

    p follows `AdaptiveProbability`. The sign is taken around the score at which the loss is
    undecided: 0 for logits, 1/2 for ``loss=lsgan``, f'(1) for f-divergences. Scores that are free
    up to a constant (Wasserstein, relativistic, loss-sensitive) are compared with the middle
    between the mean scores of both sides. What a real was scored by several terms counts once;
    mismatched pairs, whose scores do not measure overfitting, do not count.

    Args:
        transforms: names of the groups, applied in the order of the list.
        p: initial probability, in [0, 1].
        target: mean sign of the reals' scores to hold, in [0, 1); None for a constant p.
        images_to_full: real images in which p can go from 0 to 1, > 0.
        interval: discriminator steps between two moves of p, >= 1.
        threshold: the score at which the discriminator is undecided; None for that of the loss.

    Attributes:
        p: the probability, a buffer: saved with the discriminator.
    """

    def __init__(
        self,
        transforms: Sequence[str] = ("blit", "geometry", "color"),
        p: Fraction = 0.0,
        target: Share | None = 0.6,
        images_to_full: Count = 500_000,
        interval: Count = 4,
        threshold: Finite | None = None,
    ) -> None:
        super().__init__()
        check_names("transforms", transforms, TRANSFORMS)
        self.transforms = tuple(transforms)
        self.threshold = threshold
        self.adaptive = AdaptiveProbability(p, target, images_to_full, interval)

    @property
    def p(self) -> Tensor:
        """The probability."""
        return self.adaptive.p

    def check(self, discriminator: nn.Module) -> None:
        if self.adaptive.target is not None:
            require_signed_scores(discriminator, "augment=ada")

    def update(
        self, term: AdversarialTerm, real: DiscriminatorOutput, margin: Tensor, step: int
    ) -> None:
        if not term.mismatched:
            self.adaptive.update(
                margin if self.threshold is None else real.score - self.threshold, len(real.x)
            )

    def log_values(self) -> LossTerms:
        """``p``, how often samples are augmented."""
        return {"p": self.p}

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        require_images(x)
        for name in self.transforms:
            change: Change = getattr(self, name)
            x = change(x, colored or x.shape[1])
        return x

    def apply_with_probability(
        self, value: Tensor, neutral: float, p: Tensor | None = None
    ) -> Tensor:
        """``value`` ``[..., B]`` with probability p for each sample, else ``neutral``."""
        # One draw for each sample, however many numbers its value has.
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
        before, after = (
            self.apply_with_probability(uniform(x, -math.pi, math.pi), 0, p_rotation)
            for _ in range(2)
        )
        scale, stretch = (
            self.apply_with_probability(torch.exp2(normal(x, 0.2)), 1) for _ in range(2)
        )
        down, right = self.apply_with_probability(normal(x, 1 / 8, 2), 0)
        return affine(x, scale, before, stretch, after, down, right)

    def color(self, x: Tensor, colored: int) -> Tensor:
        """Brightness, contrast, luma flip, hue and saturation."""
        # Brightness is added, contrast multiplies.
        colors = (
            x[:, :colored] + self.apply_with_probability(normal(x, 0.2), 0)[:, None, None, None]
        )
        colors = (
            colors * self.apply_with_probability(torch.exp2(normal(x, 0.5)), 1)[:, None, None, None]
        )

        # Of the images that are picked, half are flipped.
        colors = flip_luma(colors, self.apply_with_probability(uniform(x, 0, 2).floor(), 0))

        # Hue and saturation are defined for RGB.
        if colored == 3:
            colors = rotate_hue(
                colors, self.apply_with_probability(uniform(x, -math.pi, math.pi), 0)
            )
            colors = adjust_saturation(
                colors, self.apply_with_probability(torch.exp2(normal(x, 1.0)), 1)
            )
        return restore_channels(colors, x)

    def filter(self, x: Tensor, colored: int) -> Tensor:
        """Amplify or weaken four frequency bands."""
        # Natural images have ten times more power in the lowest band (appendix B, lambda).
        power = torch.tensor([10.0, 1.0, 1.0, 1.0], device=x.device)[:, None] / 13
        factors = torch.stack(
            [self.apply_with_probability(torch.exp2(normal(x, 1.0)), 1) for _ in range(4)]
        )
        gains = torch.ones_like(factors)
        for band in range(4):
            # Each band in turn, with all gains normalized so that the expected power stays.
            changed = torch.ones_like(factors)
            changed[band] = factors[band]
            gains = gains * changed / (power * changed.square()).sum(0).sqrt()

        # Images of which no band was picked stay exactly as they are.
        picked = (factors != 1).any(0)[:, None, None, None]
        colors = x[:, :colored]
        return restore_channels(torch.where(picked, amplify_bands(colors, gains.T), colors), x)

    def noise(self, x: Tensor, colored: int) -> Tensor:
        """Gaussian noise on every pixel."""
        std = self.apply_with_probability(normal(x, 0.1).abs(), 0)[:, None, None, None]
        colors = x[:, :colored]
        return restore_channels(colors + std * torch.randn_like(colors), x)

    def cutout(self, x: Tensor, colored: int) -> Tensor:
        """A rectangle of half of each side, centered anywhere, becomes zero."""
        # Images that are not picked get a rectangle of size zero.
        size = self.apply_with_probability(torch.full((len(x),), 0.5, device=x.device), 0)

        # A pixel is inside if its center is, in rows and in columns.
        inside = torch.ones(len(x), 1, 1, dtype=torch.bool, device=x.device)
        for axis, side in enumerate(x.shape[2:]):
            place = (torch.arange(side, device=x.device) + 0.5) / side
            span = (place - uniform(x, 0, 1)[:, None]).abs() < size[:, None] / 2
            inside = inside & span.unsqueeze(2 - axis)
        return x.masked_fill(inside[:, None], 0)
