"""The minimax and non-saturating losses of the original GAN, on logits."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from gan_zoo.core.types import DiscriminatorOutput, LossTerms, Share
from gan_zoo.losses.base import Loss


class Minimax(Loss):
    """The saturating minimax loss: the generator minimizes what the discriminator maximizes.

    Goodfellow et al. 2014, eq. 1: L_D = E sp(-D(x)) + E sp(D(G(z))), L_G = -E sp(D(G(z))); sp is
    softplus and D a logit, so that log sigmoid(D) = -sp(-D) never overflows.

    Args:
        label_smoothing: s in [0, 1): the discriminator's target on reals, and only there, is 1 - s
            (Salimans et al. 2016, section 3.4): E sp(-D(x)) becomes E (1 - s) sp(-D(x)) + s
            sp(D(x)).
    """

    def __init__(self, label_smoothing: Share = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        # (1 - s) sp(-v) + s sp(v) = sp(-v) + s v
        on_real = softplus(-real.score)
        if self.label_smoothing:
            on_real = on_real + self.label_smoothing * real.score
        return on_real.mean() + softplus(fake.score).mean()

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return -softplus(fake.score).mean()


class NonSaturating(Minimax):
    """The non-saturating loss, with a generator gradient also for fakes with low scores.

    Goodfellow et al. 2014, section 3: L_G = E sp(-D(G(z))).
    """

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return softplus(-fake.score).mean()

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        """``total``: L_D + L_G, both at least 0; 3 log 2 where the discriminator is undecided."""
        return {"total": self.discriminator(real, fake) + self.generator(fake)}
