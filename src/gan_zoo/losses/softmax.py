"""The softmax loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_zoo.core.distributed import gather_over_ranks
from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.base import Loss, accuracy_by_means, relative_to_midpoint


class Softmax(Loss):
    """Softmax GAN: cross-entropy of a softmax over all samples of the batch.

    Lin 2017, eq. 4 to 6, with D = -mu: the target of the discriminator is uniform over the reals,
    that of the generator uniform over reals and fakes; LSE is the logarithm of the sum of the
    exponentials of all 2B scores of the global batch:

    L_D = -E D(x) + LSE, L_G = -1/2 (E D(x) + E D(G(z))) + LSE.

    Where all scores are equal both are log 2B. Adding a constant to all scores changes nothing.
    """

    mean_of_samples: bool = False
    generator_sees_real: ClassVar[bool] = True

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return log_sum_exp(real, fake) - real.score.mean()

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        assert real is not None
        return log_sum_exp(real, fake) - 0.5 * (real.score.mean() + fake.score.mean())

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relative_to_midpoint(real.score, fake.score)

    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """Reals scored above the average fake, and fakes below the average real."""
        return accuracy_by_means(real.score, fake.score)


def log_sum_exp(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
    """log sum exp over the scores of both sides of the global batch; at patches, their mean."""
    # Each position of a map of scores has its own softmax over the samples.
    real_scores = gather_over_ranks(real.score.reshape(len(real.score), -1))
    fake_scores = gather_over_ranks(fake.score.reshape(len(fake.score), -1))
    return torch.cat([real_scores, fake_scores]).logsumexp(0).mean()
