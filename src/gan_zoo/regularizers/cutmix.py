"""Consistency of scores of pixels under CutMix."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.comparable_outputs import is_augmented
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Count,
    DiscriminatorOutput,
    Weight,
    run_discriminator,
)
from gan_zoo.regularizers.base import Regularizer


class CutMix(Regularizer):
    """A discriminator of pixels scores a patchwork of two images as it scores the images.

    Schönfeld et al. 2020, eq. 6. With a mask M of a random box and mix(a, b) = M a + (1 - M) b, D_p
    the scores of pixels,

        weight * E (D_p(mix(x, G(z))) - mix(D_p(x), D_p(G(z))))^2,

    a mean over pixels. The box has a uniform area and place, and is of the real or of the fake
    image with equal probability, for each sample. The paper also scores the patchworks as fakes,
    which is left out here.

    Args:
        weight: 1 in the paper, for a mean over pixels.
        every: see `Regularizer`.
    """

    needs_double_backward: ClassVar[bool] = False

    def __init__(self, weight: Weight = 1.0, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def check(self, discriminator: nn.Module) -> None:
        modules = list(discriminator.modules())
        if not any(getattr(module, "scores_pixels", False) for module in modules):
            raise ValueError(
                "regularizer=cutmix needs a discriminator that scores pixels: add"
                f" discriminator=unet, got {type(discriminator).__name__}"
            )
        if any(getattr(module, "pack", 1) > 1 for module in modules):
            raise ValueError("regularizer=cutmix mixes single images: add pack=1")
        if is_augmented(discriminator):
            raise ValueError(
                "regularizer=cutmix compares scores of the same pixels, which augmentation moves:"
                " add augment=none"
            )

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        mask = box_masks(real.x, rng)
        mixed = mask[:, None] * term.real.detach() + (1 - mask[:, None]) * term.fake.detach()
        output = run_discriminator(term.discriminator, mixed, term.real_condition)

        # The scores of pixels are the last part.
        expected = mask * real.parts[-1].score + (1 - mask) * fake.parts[-1].score
        return self.weight * (output.parts[-1].score - expected).square().mean()


def box_masks(x: Tensor, rng: StepRNG) -> Tensor:
    """For each image ``[C, H, W]`` 1 inside and 0 outside of a random box, or the other way round:
    ``[B, H, W]``.
    """
    height, width = x.shape[2:]
    area, row, column, flip = rng.uniform("cutmix", len(x), 4).to(x.device).unbind(1)

    # A box of the image's proportions around a uniform center; parts outside are cut off.
    half = area.sqrt() / 2
    rows = (torch.arange(height, device=x.device) + 0.5) / height
    columns = (torch.arange(width, device=x.device) + 0.5) / width
    in_rows = (rows - row[:, None]).abs() < half[:, None]
    in_columns = (columns - column[:, None]).abs() < half[:, None]
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    return (inside ^ (flip < 0.5)[:, None, None]).to(x.dtype)
