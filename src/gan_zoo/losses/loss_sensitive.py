"""The loss-sensitive GAN."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Le
from torch import Tensor

from gan_zoo.core.types import DiscriminatorOutput, Finite, LossTerms, Weight
from gan_zoo.losses.base import Loss, relative_to_midpoint


class LossSensitive(Loss):
    """LS-GAN: scores are losses, higher on fakes by a margin that grows with the distance.

    Qi 2017, section 3 and, for the slope, appendix D (GLS-GAN): with a = lambda Delta(x, G(z)) +
    D(x) - D(G(z)), L_D = gamma E D(x) + E max(a, nu a) and L_G = E D(G(z)). Delta is the L1
    distance of each pair, per dimension (so that lambda means the same at every resolution) and
    detached. nu = 0 is LS-GAN, nu = 1 has the gradients of WGAN with the discriminator -D.

    Where the discriminator scores pairs of a sample and a condition, Delta must be a distance of
    pairs: it is the L1 distance plus the discrete metric of the conditions, 1 where real and fake
    have different conditions and 0 where they have the same. So a mismatched pair (x, c') must
    cost more than (x, c) by lambda; by the samples alone the two are equal, the margin would be 0,
    and a constant D would satisfy it.

    Args:
        margin_weight: lambda, >= 0; 2.5 is the author's 2e-4 per unit of distance summed over
            64x64x3.
        real_weight: gamma, how much the loss of reals counts by itself, >= 0.
        slope: nu, at most 1.
    """

    high_is_real: ClassVar[bool] = False

    def __init__(
        self,
        margin_weight: Weight = 2.5,
        real_weight: Weight = 0.0,
        slope: Annotated[Finite, Le(1)] = 0.0,
    ) -> None:
        super().__init__()
        if margin_weight < 0 or real_weight < 0:
            raise ValueError(
                f"margin_weight and real_weight must be >= 0, got {margin_weight} and {real_weight}"
            )
        if slope > 1:
            raise ValueError(f"slope must be <= 1, got {slope}")
        self.margin_weight = margin_weight
        self.real_weight = real_weight
        self.slope = slope

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        # Packs are one input.
        margin = self.margin_weight * pair_distance(real, fake).view(len(real.score), -1).mean(1)
        violation = margin.view(-1, *[1] * (real.score.ndim - 1)) + real.score - fake.score
        # max(a, nu a) of the violation a.
        return (
            self.real_weight * real.score.mean()
            + torch.maximum(violation, self.slope * violation).mean()
        )

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return fake.score.mean()

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        margin = self.margin_weight * pair_distance(real, fake).mean()
        return {"energy_gap": fake.score.mean() - real.score.mean(), "margin": margin}

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relative_to_midpoint(-real.score, -fake.score)

    @torch.no_grad()
    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """The fraction of pairs whose real has the lower loss, twice."""
        fraction = (real.score < fake.score).float().mean()
        return fraction, fraction


@torch.no_grad()
def l1_distance(real: Tensor, fake: Tensor) -> Tensor:
    """The mean absolute difference of each real to the fake of the same index, ``[B]``."""
    return (real - fake).abs().flatten(1).mean(1)


@torch.no_grad()
def pair_distance(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
    """The distance of each pair (sample, condition) to the fake one of the same index, ``[B]``."""
    distance = l1_distance(real.x, fake.x)
    if real.condition is fake.condition or not isinstance(real.condition, Tensor):
        return distance
    # A mismatched pair has the same sample but another condition.
    differs: Tensor = (real.condition != fake.condition).reshape(len(distance), -1).any(1)
    return distance + differs.to(distance.dtype)
