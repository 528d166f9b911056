"""The gradient penalty of DRAGAN."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Count,
    DiscriminatorOutput,
    Weight,
    run_discriminator,
)
from gan_zoo.regularizers.base import Regularizer, input_gradient, norm, uniform_per_input


class DRAGAN(Regularizer):
    """Penalizes gradient norms other than 1 near the reals.

    Kodali et al. 2017, section 2.3: weight * E(||grad D(x^)||_2 - 1)^2, two-sided, the norm over
    all dimensions of an input. There are two versions of the point x^. With ``point="line"``, as in
    the authors' code, x^ = x + a * scale * s * u, where a ~ U[0, 1] is one number for each input of
    the discriminator (a sample, or a pack), u ~ U[0, 1] one for every dimension, and s the standard
    deviation over all numbers of the global batch: x^ lies on the line from x to its perturbed
    copy. With ``point="gaussian"``, as in the paper's algorithm 1, x^ = x + scale * s * n, n ~
    N(0, I).

    Args:
        weight: lambda of the paper.
        point: ``line`` or ``gaussian``.
        scale: size of the noise in standard deviations of the data, >= 0.
        every: see `Regularizer`.
    """

    mean_of_samples: bool = False
    per_sample: ClassVar[bool] = True

    def __init__(
        self,
        weight: Weight = 10.0,
        scale: Weight = 0.5,
        every: Count = 1,
        point: Literal["line", "gaussian"] = "line",
    ) -> None:
        super().__init__(every)
        if point not in ("line", "gaussian"):
            raise ValueError(f"point must be line or gaussian, got {point!r}")
        self.point = point
        if scale < 0:
            raise ValueError(f"scale must be >= 0, got {scale}")
        self.weight = weight
        self.scale = scale

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        x = real.x.detach()
        perturbed = (x + self.scale * self.perturbation(term, real, rng)).requires_grad_()
        output = run_discriminator(term.discriminator, perturbed, term.real_condition)
        excess = norm(input_gradient(output)) - 1
        return self.weight * excess.square().mean()

    def perturbation(
        self, term: AdversarialTerm, real: DiscriminatorOutput, rng: StepRNG
    ) -> Tensor:
        """What is added to the reals, before `scale`."""
        x = real.x.detach()
        if self.point == "gaussian":
            return global_std(x) * rng.normal(f"dragan/{term.name}", *x.shape).to(x)

        # A point on the line from each real to its perturbed copy.
        direction = rng.uniform(f"dragan/{term.name}", *x.shape).to(x)
        amount = uniform_per_input(real, rng, f"dragan amount/{term.name}")
        return amount * global_std(x) * direction


def global_std(x: Tensor) -> Tensor:
    """The standard deviation over all numbers of the global batch."""
    # From moments, which can be averaged over processes.
    mean, mean_square = mean_over_ranks(torch.stack([x.mean(), x.square().mean()]))
    variance: Tensor = mean_square - mean.square()
    return variance.clamp_min(0.0).sqrt()
