"""LeCam regularization."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, Share, Weight
from gan_zoo.regularizers.base import Regularizer


class LeCam(Regularizer):
    """Penalizes scores beyond the moving average of the other side's scores; for limited data.

    Tseng et al. 2021, eq. 3, one-sided as in the authors' code: weight * [E((D(x) - a_F)+)^2 +
    E((a_R - D(G(z)))+)^2] with a_R and a_F the averages of the scores of reals and fakes, over
    steps and the global batch. The averages are unbiased from the first step on; before it the
    penalty is 0.

    Args:
        weight: lambda of the paper; 0.3 in its CIFAR-10 runs with the hinge loss.
        decay: of the averages for each discriminator step, in [0, 1).
        every: see `Regularizer`.
    """

    needs_double_backward: ClassVar[bool] = False
    needs_high_is_real: ClassVar[bool] = True

    averages: Tensor
    mass: Tensor

    def __init__(self, weight: Weight = 0.3, decay: Share = 0.99, every: Count = 1) -> None:
        super().__init__(every)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.weight = weight
        self.decay = decay
        # Averages of scores on reals and on fakes; the mass takes out the bias of their start.
        self.register_buffer("averages", torch.zeros(2))
        self.register_buffer("mass", torch.zeros(()))

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        # Averages that started at zero are too small, by the factor of their mass.
        of_real, of_fake = self.averages / self.mass.clamp_min(1e-12)

        # Reals above the average fake, fakes below the average real.
        above = (real.score - of_fake).relu()
        below = (of_real - fake.score).relu()
        started = self.mass > 0
        penalty: Tensor = above.square().mean() + below.square().mean()
        return self.weight * started * penalty

    @torch.no_grad()
    def update(
        self, term: AdversarialTerm, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> None:
        means = mean_over_ranks(torch.stack([real.score.float().mean(), fake.score.float().mean()]))
        self.averages.lerp_(means, 1 - self.decay)
        # The mass follows the constant 1 in the same way.
        self.mass.lerp_(torch.ones_like(self.mass), 1 - self.decay)
