"""Consistency regularization."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_zoo.core.comparable_outputs import comparable_outputs, is_augmented
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Count,
    DiscriminatorOutput,
    Weight,
    Whole,
    run_discriminator,
)
from gan_zoo.regularizers.base import Regularizer


class Consistency(Regularizer):
    """Penalizes different scores of an image and its flipped and shifted copy.

    Zhang et al. 2020 (CR-GAN): weight * E(D(x) - D(T(x)))^2; Zhao et al. 2021 (bCR) adds
    fake_weight * E(D(G(z)) - D(T(G(z))))^2. T flips half of the images left to right and shifts
    each by up to ``shift`` pixels in both directions, reflecting at the borders. Conditions that
    are images move along; patch scores are averaged for each sample, as patches move.

    Args:
        weight: of the term on reals.
        fake_weight: of the term on fakes; 0 is CR, without a pass over them.
        shift: largest shift in pixels, >= 0 and smaller than the images.
        every: see `Regularizer`.
    """

    needs_double_backward: ClassVar[bool] = False

    def __init__(
        self, weight: Weight = 10.0, fake_weight: Weight = 10.0, shift: Whole = 4, every: Count = 1
    ) -> None:
        super().__init__(every)
        if shift < 0:
            raise ValueError(f"shift must be >= 0, got {shift}")
        self.weight = weight
        self.fake_weight = fake_weight
        self.shift = shift

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        total = self.weight * self.consistency_loss(term, real, term.real_condition, rng, "real")
        if self.fake_weight:
            total = total + self.fake_weight * self.consistency_loss(
                term, fake, term.fake_condition, rng, "fake"
            )
        return total

    def consistency_loss(
        self,
        term: AdversarialTerm,
        output: DiscriminatorOutput,
        condition: Any,
        rng: StepRNG,
        side: str,
    ) -> Tensor:
        """The mean squared change of the score when the image is flipped and shifted."""
        # A term of the discriminator: what made the samples gets no gradient.
        x = output.x.detach()
        if x.ndim != 4:
            raise ValueError(
                f"consistency needs images [B, C, H, W], got samples of shape {list(x.shape)}"
            )
        if self.shift >= min(x.shape[2:]):
            raise ValueError(
                f"shift must be smaller than the images, {list(x.shape[2:])}, got {self.shift}"
            )

        # The same move for sample and condition image, which belong together pixel by pixel.
        rows, columns = random_indices(x, self.shift, rng, f"consistency/{term.name}/{side}")
        moved_condition = condition
        if isinstance(condition, Tensor) and condition.shape[2:] == x.shape[2:]:
            moved_condition = gather_pixels(condition, rows, columns)
        moved = (gather_pixels(x, rows, columns), moved_condition)

        # Augmentations differ from pass to pass, but must be the same for both.
        if is_augmented(term.discriminator):
            both = [(x, condition), moved]
            output, copy = comparable_outputs(
                term.discriminator, both, rng.derive(f"consistency/{term.name}/{side}")
            )
        else:
            copy = run_discriminator(term.discriminator, *moved)
        return (per_sample_score(output.score) - per_sample_score(copy.score)).square().mean()


def random_indices(x: Tensor, shift: int, rng: StepRNG, purpose: str) -> tuple[Tensor, Tensor]:
    """For each sample, the row ``[B, H]`` and the column ``[B, W]`` that its pixels are taken
    from.
    """
    size, _, height, width = x.shape
    down, right = (
        rng.randint(f"{purpose}/{axis}", size, -shift, shift + 1) for axis in ("down", "right")
    )

    # Half of the images read their columns backwards.
    flipped = rng.randint(f"{purpose}/flip", size, 0, 2).bool()
    columns = reflect(right, width)
    return reflect(down, height), torch.where(flipped[:, None], columns.flip(1), columns)


def reflect(offset: Tensor, length: int) -> Tensor:
    """Indices 0..length-1 shifted by ``offset`` ``[B]`` and mirrored at both ends, ``[B,
    length]``.
    """
    index = (torch.arange(length, device=offset.device) - offset[:, None]).abs()
    return torch.minimum(index, 2 * (length - 1) - index)


def gather_pixels(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``x`` ``[B, C, H, W]`` with the pixels of each sample taken from ``rows`` and ``columns``."""
    sample = torch.arange(len(x), device=x.device)[:, None, None]
    return x.movedim(1, -1)[sample, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def per_sample_score(score: Tensor) -> Tensor:
    """One score for each sample, ``[B]``."""
    return score.flatten(1).mean(1) if score.ndim > 1 else score
