"""Wasserstein GAN."""

from __future__ import annotations

from torch import Tensor

from gan_zoo.core.types import DiscriminatorOutput, LossTerms
from gan_zoo.losses.base import Loss, accuracy_by_means, relative_to_midpoint


class Wasserstein(Loss):
    """WGAN: the critic estimates the earth mover's distance if a regularizer keeps it 1-Lipschitz.

    Arjovsky et al. 2017: L_D = E D(G(z)) - E D(x), L_G = -E D(G(z)). The constraint is a
    regularizer: weight clipping in the original, the gradient penalty in Gulrajani et al. 2017.
    Scores are free up to a constant, so the accuracies compare each score with the mean of the
    other side.
    """

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return fake.score.mean() - real.score.mean()

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return -fake.score.mean()

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        return {"wasserstein": real.score.mean() - fake.score.mean()}

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relative_to_midpoint(real.score, fake.score)

    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """Reals scored above the average fake, and fakes below the average real."""
        return accuracy_by_means(real.score, fake.score)
