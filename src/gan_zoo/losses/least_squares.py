"""Least-squares GAN."""

from __future__ import annotations

from torch import Tensor

from gan_zoo.core.types import DiscriminatorOutput, Finite
from gan_zoo.losses.base import Loss


class LeastSquares(Loss):
    """LSGAN: scores are regressed to targets.

    Mao et al. 2017, eq. 2: L_D = 1/2 E(D(x) - b)^2 + 1/2 E(D(G(z)) - a)^2, L_G = 1/2 E(D(G(z)) -
    c)^2.

    Args:
        fake_target: a, the discriminator's target for fakes.
        real_target: b, the discriminator's target for reals.
        generator_target: c, the generator's target for fakes. (a, b, c) = (0, 1, 1) is the 0-1
            coding; (-1, 1, 0) minimizes the Pearson chi-squared divergence.
    """

    def __init__(
        self, fake_target: Finite = 0.0, real_target: Finite = 1.0, generator_target: Finite = 1.0
    ) -> None:
        super().__init__()
        self.fake_target = fake_target
        self.real_target = real_target
        self.generator_target = generator_target
        self.threshold = (fake_target + real_target) / 2

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        on_real = (real.score - self.real_target).square().mean()
        on_fake = (fake.score - self.fake_target).square().mean()
        return 0.5 * (on_real + on_fake)

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return 0.5 * (fake.score - self.generator_target).square().mean()
