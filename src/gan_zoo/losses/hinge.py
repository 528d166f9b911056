"""The hinge loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.base import Loss


class Hinge(Loss):
    """Hinge loss with margin 1 for the discriminator; the generator maximizes its scores.

    Lim & Ye 2017, Geometric GAN: L_D = E(1 - D(x))+ + E(1 + D(G(z)))+, L_G = -E D(G(z)). The hinge
    is per sample.
    """

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relu(1.0 - real.score).mean() + relu(1.0 + fake.score).mean()

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return -fake.score.mean()
