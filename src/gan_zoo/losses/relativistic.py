"""Relativistic losses: the discriminator compares two samples."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import DiscriminatorOutput, LossTerms
from gan_zoo.losses.base import Loss, accuracy_by_means, relative_to_midpoint


class RelativisticPaired(Loss):
    """RpGAN: each real is compared with the fake of the same index.

    Jolicoeur-Martineau 2019, section 3; Huang et al. 2024 (R3GAN), eq. 2: L_D = E sp(-(D(x_i) -
    D(G(z_i)))) and L_G = E sp(-(D(G(z_i)) - D(x_i))). Scores of both sides must have equal shapes.
    Only differences of scores mean something, so the accuracies are the fraction of pairs in the
    right order.
    """

    generator_sees_real: ClassVar[bool] = True

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return softplus(fake.score - real.score).mean()

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        assert real is not None
        return softplus(real.score - fake.score).mean()

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        return {"score_gap": real.score.mean() - fake.score.mean()}

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relative_to_midpoint(real.score, fake.score)

    @torch.no_grad()
    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """The fraction of pairs whose real is scored above its fake, twice."""
        fraction = (real.score > fake.score).float().mean()
        return fraction, fraction


class RelativisticAverage(Loss):
    """RaGAN, logistic: each sample is compared with the mean of the other side.

    Jolicoeur-Martineau 2018, section 4, halved: L_D = 1/2 [E c(D(x) - E D(G(z))) + E c(E D(x) -
    D(G(z)))] with the loss c(d) = sp(-d); L_G is the same with the sides exchanged. The means are
    those of the global batch, and gradient flows through both.
    """

    mean_of_samples: bool = False
    generator_sees_real: ClassVar[bool] = True

    def pairwise_loss(self, difference: Tensor) -> Tensor:
        """The loss of samples whose scores exceed the mean of the other side by ``difference``."""
        return softplus(-difference)

    def relativistic_loss(self, target: Tensor, other: Tensor) -> Tensor:
        """The loss that raises the scores ``target`` above the scores ``other``."""
        # Means are those of the global batch, with gradients.
        means = mean_over_ranks(torch.stack([target.mean(), other.mean()]))
        return 0.5 * (
            self.pairwise_loss(target - means[1]).mean()
            + self.pairwise_loss(means[0] - other).mean()
        )

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return self.relativistic_loss(real.score, fake.score)

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        assert real is not None
        return self.relativistic_loss(fake.score, real.score)

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        return {"score_gap": real.score.mean() - fake.score.mean()}

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relative_to_midpoint(real.score, fake.score)

    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """Reals scored above the average fake, and fakes below the average real."""
        return accuracy_by_means(real.score, fake.score)


class RelativisticAverageLeastSquares(RelativisticAverage):
    """RaLSGAN: the difference from the other side's mean is regressed to 1.

    Jolicoeur-Martineau 2018, appendix.
    """

    def pairwise_loss(self, difference: Tensor) -> Tensor:
        return (difference - 1.0).square()


class RelativisticAverageHinge(RelativisticAverage):
    """RaHingeGAN: the difference from the other side's mean must reach 1.

    Jolicoeur-Martineau 2018, appendix.
    """

    def pairwise_loss(self, difference: Tensor) -> Tensor:
        return torch.relu(1.0 - difference)
