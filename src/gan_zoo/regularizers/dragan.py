"""The gradient penalty of DRAGAN."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_zoo.distributed import mean_over_ranks
from gan_zoo.noise import Noise
from gan_zoo.regularizers.base import Regularizer, input_gradient, norm
from gan_zoo.types import Critique, Duel, judge


class DRAGAN(Regularizer):
    """The critic's gradient norm is pulled to 1 around the reals.

    Kodali et al. 2017, section 2.3: weight * E(||grad D(x + noise)||_2 - 1)^2, two-sided, the norm per sample over all
    its dimensions. The noise is the authors' code's: scale * s * u with u ~ U[0, 1] for every dimension and s the
    standard deviation over all numbers of the global batch.

    Args:
        weight: lambda of the paper.
        scale: size of the noise in standard deviations of the data, >= 0.
        every: see `Regularizer`.
    """

    per_sample: ClassVar[bool] = True

    def __init__(self, weight: float = 10.0, scale: float = 0.5, every: int = 1) -> None:
        super().__init__(every)
        if scale < 0:
            raise ValueError(f"scale must be >= 0, got {scale}")
        self.weight, self.scale = weight, scale

    def penalty(self, duel: Duel, real: Critique, fake: Critique, noise: Noise) -> Tensor:
        x = real.x.detach()
        around = noise.uniform(f"dragan/{duel.name}", *x.shape).to(x)
        near = (x + self.scale * spread(x) * around).requires_grad_()
        excess = norm(input_gradient(judge(duel.critic, near, duel.real_condition))) - 1
        return self.weight * excess.square().mean()


def spread(x: Tensor) -> Tensor:
    """The standard deviation over all numbers of the global batch."""
    mean, mean_square = mean_over_ranks(torch.stack([x.mean(), x.square().mean()]))
    variance: Tensor = mean_square - mean.square()
    return variance.clamp_min(0.0).sqrt()
