"""The drift penalty."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, Weight
from gan_zoo.regularizers.base import Regularizer


class Drift(Regularizer):
    """Keeps the scores of reals near 0 where a loss leaves a constant free.

    Karras et al. 2018 (progressive growing), appendix A.1: weight * E D(x)^2 over reals.

    Args:
        weight: 1e-3 in the paper.
        every: see `Regularizer`.
    """

    needs_double_backward: ClassVar[bool] = False

    def __init__(self, weight: Weight = 1e-3, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        return self.weight * real.score.square().mean()
