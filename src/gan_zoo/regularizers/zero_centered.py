"""Zero-centered gradient penalties."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, Weight
from gan_zoo.regularizers.base import Regularizer, input_gradient, squared_norm


class R1(Regularizer):
    """Zero-centered gradient penalty on reals.

    Mescheder et al. 2018, eq. 9: gamma/2 E ||grad_x D(x)||^2 over reals, the norm per sample.

    Args:
        gamma: weight.
        every: see `Regularizer`.
    """

    real_gradient: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True

    def __init__(self, gamma: Weight = 10.0, every: Count = 1) -> None:
        super().__init__(every)
        self.gamma = gamma

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        return self.gamma / 2 * squared_norm(input_gradient(real)).mean()


class R2(R1):
    """R1 on fakes: gamma/2 E ||grad_x D(G(z))||^2 (Mescheder et al. 2018, eq. 10)."""

    real_gradient: ClassVar[bool] = False
    fake_gradient: ClassVar[bool] = True

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        return self.gamma / 2 * squared_norm(input_gradient(fake)).mean()
