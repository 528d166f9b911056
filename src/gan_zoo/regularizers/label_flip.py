"""Random exchange of reals and fakes."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Fraction
from gan_zoo.regularizers.base import Regularizer


class LabelFlip(Regularizer):
    """In the discriminator step a real and a fake change sides with probability ``p``.

    Chintala et al. 2016.

    Sample i of the reals is exchanged with sample i of the fakes; conditions stay, so mismatched
    pairs are left alone, and models with classes or further terms of each side are refused. There
    is no penalty.

    Args:
        p: probability for each pair.
    """

    needs_double_backward: ClassVar[bool] = False
    mixes_sides: ClassVar[bool] = True

    def __init__(self, p: Fraction = 0.05) -> None:
        super().__init__()
        self.p = p

    def prepare(self, term: AdversarialTerm, rng: StepRNG) -> AdversarialTerm:
        # Terms that are no reals against fakes have nothing to flip.
        if term.mismatched or term.swapped or self.p == 0:
            return term
        # Exchanged in pairs, so that the batch still holds every sample: ``[B, 1, ...]``.
        flipped = (
            rng.uniform(f"label flip/{term.name}", len(term.real)).to(term.real.device) < self.p
        )
        flipped = flipped.view(-1, *[1] * (term.real.ndim - 1))
        return replace(
            term,
            real=torch.where(flipped, term.fake, term.real),
            fake=torch.where(flipped, term.real, term.fake),
        )
