"""The gradient penalty of WGAN-GP."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gan_zoo.noise import Noise
from gan_zoo.regularizers.base import Regularizer, input_gradient, norm
from gan_zoo.types import Critique, Duel, judge


class GradientPenalty(Regularizer):
    """The critic's gradient norm is pulled to 1 between reals and fakes.

    Gulrajani et al. 2017, eq. 3: weight * E(||grad D(x^)||_2 - 1)^2 with x^ = e x + (1 - e) G(z) and ONE e ~ U[0, 1]
    for each sample; the norm is per sample over all its dimensions. One-sided (section 4 there): only norms above 1
    cost, E((||grad|| - 1)+)^2.

    Args:
        weight: lambda of the paper.
        one_sided: penalise norms above 1 only.
        every: see `Regularizer`.
    """

    per_sample: ClassVar[bool] = True

    def __init__(self, weight: float = 10.0, one_sided: bool = False, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.one_sided = weight, one_sided

    def penalty(self, duel: Duel, real: Critique, fake: Critique, noise: Noise) -> Tensor:
        x, fakes = real.x.detach(), fake.x.detach()
        share = noise.uniform(f"gradient_penalty/{duel.name}", len(x)).view(-1, *[1] * (x.ndim - 1))
        between = (share * x + (1 - share) * fakes).requires_grad_()
        excess = norm(input_gradient(judge(duel.critic, between, duel.real_condition))) - 1
        excess = excess.relu() if self.one_sided else excess
        return self.weight * excess.square().mean()
