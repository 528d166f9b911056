"""The dual contrastive loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_zoo.core.distributed import gather_over_ranks
from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.base import Loss, accuracy_by_means, relative_to_midpoint


class DualContrastive(Loss):
    """Each real must stand out from all fakes of the batch, and each fake from all reals.

    Yu et al. 2021, eq. 2 and 3, with C(a, b) = E_i -log [exp a_i / (exp a_i + sum_k exp b_k)] over
    the global batch: L_D = C(D(x), D(G(z))) + C(-D(G(z)), -D(x)). The generator of the paper
    maximizes this; by default L_G = C(D(G(z)), D(x)) + C(-D(x), -D(G(z))), the same with the sides
    exchanged, whose gradient does not vanish where the discriminator is ahead. Where all scores are
    equal L_D is 2 log(B + 1). Adding a constant to all scores changes nothing.

    Args:
        practical: exchange the sides for the generator; otherwise it minimizes -L_D.
    """

    mean_of_samples: bool = False
    generator_sees_real: ClassVar[bool] = True

    def __init__(self, practical: bool = True) -> None:
        super().__init__()
        self.practical = practical

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return contrast(real.score, fake.score) + contrast(-fake.score, -real.score)

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        assert real is not None
        return self.discriminator(fake, real) if self.practical else -self.discriminator(real, fake)

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relative_to_midpoint(real.score, fake.score)

    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """Reals scored above the average fake, and fakes below the average real."""
        return accuracy_by_means(real.score, fake.score)


def contrast(target: Tensor, others: Tensor) -> Tensor:
    """Mean of -log [exp a_i / (exp a_i + sum_k exp b_k)], b the other side of the global batch."""
    a = target.reshape(len(target), -1)
    b = gather_over_ranks(others.reshape(len(others), -1)).logsumexp(0)
    return (torch.logaddexp(a, b) - a).mean()
