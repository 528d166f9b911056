"""The two losses of the original GAN, on logits."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from gan_zoo.losses.base import Loss
from gan_zoo.types import Critique, Terms


class Minimax(Loss):
    """The saturating game, where the generator minimises what the critic maximises.

    Goodfellow et al. 2014, eq. 1: L_D = E sp(-D(x)) + E sp(D(G(z))), L_G = -E sp(D(G(z))); sp is softplus and D a
    logit, so that log sigmoid(D) = -sp(-D) never overflows.
    """

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return softplus(-real.score).mean() + softplus(fake.score).mean()

    def generator(self, fake: Critique, real: Critique | None = None) -> Tensor:
        return -softplus(fake.score).mean()


class NonSaturating(Minimax):
    """The -log D trick: the same critic, a generator whose gradient does not vanish when it is losing.

    Goodfellow et al. 2014, section 3: L_G = E sp(-D(G(z))).
    """

    def generator(self, fake: Critique, real: Critique | None = None) -> Tensor:
        return softplus(-fake.score).mean()

    def readings(self, real: Critique, fake: Critique) -> Terms:
        """``total``: L_D + L_G, both at least 0; 3 log 2 where the critic cannot tell."""
        return {"total": self.discriminator(real, fake) + self.generator(fake)}
