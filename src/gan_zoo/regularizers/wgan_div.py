"""The divergence of WGAN-div."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, Positive, Weight
from gan_zoo.regularizers.base import Regularizer, input_gradient, norm


class WassersteinDivergence(Regularizer):
    """Penalizes a power of the gradient norm, without a target of 1 (WGAN-div).

    Wu et al. 2018, eq. 6: k E ||grad D(x)||^p, the norm per sample. Of the paper's choices for the
    distribution of x this is that of reals and fakes: the mean over both, k / 2 (E_x + E_G(z)).
    With ``loss=wgan`` it makes a divergence, without a Lipschitz constraint.

    Args:
        weight: k; 2 in the paper.
        power: p > 1; 6 in the paper.
        every: see `Regularizer`.
    """

    real_gradient: ClassVar[bool] = True
    fake_gradient: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True

    def __init__(self, weight: Weight = 2.0, power: Positive = 6.0, every: Count = 1) -> None:
        super().__init__(every)
        if power <= 1:
            raise ValueError(f"power must be > 1, got {power}")
        self.weight = weight
        self.power = power

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        on_real = norm(input_gradient(real)).pow(self.power).mean()
        on_fake = norm(input_gradient(fake)).pow(self.power).mean()
        return self.weight / 2 * (on_real + on_fake)
