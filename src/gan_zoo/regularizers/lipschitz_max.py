"""The largest gradient as a penalty."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gan_zoo.core.distributed import gather_over_ranks
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, Weight
from gan_zoo.regularizers.base import Regularizer, squared_norm
from gan_zoo.regularizers.gradient_penalty import interpolated_gradient


class LipschitzMax(Regularizer):
    """Penalizes the largest squared gradient norm of the batch (Lipschitz GAN).

    Zhou et al. 2019, section 4.3: weight * max_i ||grad D(x^_i)||^2, x^ as in `GradientPenalty`,
    the maximum over the global batch. It bounds the Lipschitz constant instead of fixing it.

    Args:
        weight: lambda of the paper.
        every: see `Regularizer`.
    """

    mean_of_samples: bool = False
    per_sample: ClassVar[bool] = True

    def __init__(self, weight: Weight = 10.0, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        gradient = interpolated_gradient(term, real, fake, rng, "lipschitz_max")
        return self.weight * gather_over_ranks(squared_norm(gradient)).max()
