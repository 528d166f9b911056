"""Relativistic losses: the discriminator compares two samples."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import DiscriminatorOutput, LossTerms
from gan_zoo.losses.base import Loss, above_the_middle, accuracy_by_means


class RelativisticPaired(Loss):
    """RpGAN: every real against the fake of the same index.

    Jolicoeur-Martineau 2019, section 3; Huang et al. 2024 (R3GAN), eq. 2: L_D = E sp(-(D(x_i) - D(G(z_i)))) and
    L_G = E sp(-(D(G(z_i)) - D(x_i))). Scores of both sides must have equal shapes. Only differences of scores mean
    something, so the accuracies are the fraction of pairs in the right order.
    """

    generator_sees_real: ClassVar[bool] = True

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return softplus(fake.score - real.score).mean()

    def generator(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        assert real is not None
        return softplus(real.score - fake.score).mean()

    def readings(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        return {"score_gap": real.score.mean() - fake.score.mean()}

    def leaning(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return above_the_middle(real.score, fake.score)

    @torch.no_grad()
    def accuracy(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> tuple[Tensor, Tensor]:
        """The share of pairs whose real is scored above its fake, twice."""
        share = (real.score > fake.score).float().mean()
        return share, share


class RelativisticAverage(Loss):
    """RaGAN, logistic: every sample against the mean of the other side.

    Jolicoeur-Martineau 2018, section 4, halved: L_D = 1/2 [E c(D(x) - E D(G(z))) + E c(E D(x) - D(G(z)))] with the
    cost c(gap) = sp(-gap); L_G is the same with the roles swapped. The means are those of the global batch, and
    gradient flows through both.
    """

    mean_of_samples: bool = False
    generator_sees_real: ClassVar[bool] = True

    def cost(self, gap: Tensor) -> Tensor:
        """What a sample costs that is ``gap`` ahead of the other side."""
        return softplus(-gap)

    def contest(self, ahead: Tensor, behind: Tensor) -> Tensor:
        """The loss of a player who wants the scores ``ahead`` to be the higher ones."""
        means = mean_over_ranks(torch.stack([ahead.mean(), behind.mean()]))
        return 0.5 * (self.cost(ahead - means[1]).mean() + self.cost(means[0] - behind).mean())

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return self.contest(real.score, fake.score)

    def generator(self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None) -> Tensor:
        assert real is not None
        return self.contest(fake.score, real.score)

    def readings(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        return {"score_gap": real.score.mean() - fake.score.mean()}

    def leaning(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return above_the_middle(real.score, fake.score)

    def accuracy(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> tuple[Tensor, Tensor]:
        """Reals scored above the average fake, and fakes below the average real."""
        return accuracy_by_means(real.score, fake.score)


class RelativisticAverageLeastSquares(RelativisticAverage):
    """RaLSGAN: the gap to the other side's mean is regressed to 1 (Jolicoeur-Martineau 2018, appendix)."""

    def cost(self, gap: Tensor) -> Tensor:
        return (gap - 1.0).square()


class RelativisticAverageHinge(RelativisticAverage):
    """RaHingeGAN: the gap to the other side's mean has to reach 1 (Jolicoeur-Martineau 2018, appendix)."""

    def cost(self, gap: Tensor) -> Tensor:
        return torch.relu(1.0 - gap)
