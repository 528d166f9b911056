"""The gradient penalty of WGAN-GP."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gan_zoo.core.distributed import gather_over_ranks, rank
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Count,
    DiscriminatorOutput,
    Weight,
    run_discriminator,
)
from gan_zoo.regularizers.base import Regularizer, input_gradient, norm, uniform_per_input


class GradientPenalty(Regularizer):
    """Penalizes gradient norms other than 1 at interpolates of reals and fakes (WGAN-GP).

    Gulrajani et al. 2017, eq. 3: weight * E(||grad D(x^)||_2 - 1)^2 with x^ = e x + (1 - e) G(z)
    and ONE e ~ U[0, 1] for each input of the discriminator, which is a sample or, with ``pack``, a
    pack; the norm is over all dimensions of an input. One-sided (section 4 there): only norms above
    1 cost, E((||grad|| - 1)+)^2.

    A conditional discriminator is a function of the sample for each condition, and is constrained
    to slope 1 in the sample with the condition fixed: x^ is scored under the condition of the fake.
    Where both sides have the same this is the usual penalty. A mismatched term compares (x, c) with
    (x, c'); there both ends of the line would be the same point. But sum_c E_{x not of c} D(x, c)
    is the same sum as that over the mismatched pairs, so what the term estimates is, for each
    condition, the distance between samples that belong to it and samples that do not. The line runs
    between two reals of the global batch, x and the one that follows it, and is scored under the
    mismatched condition c' of x.

    Args:
        weight: lambda of the paper.
        one_sided: penalize norms above 1 only.
        every: see `Regularizer`.
    """

    per_sample: ClassVar[bool] = True

    def __init__(self, weight: Weight = 10.0, one_sided: bool = False, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight
        self.one_sided = one_sided

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        gradient = interpolated_gradient(term, real, fake, rng, "gradient_penalty")
        excess = norm(gradient) - 1
        excess = excess.relu() if self.one_sided else excess
        return self.weight * excess.square().mean()


def interpolated_gradient(
    term: AdversarialTerm,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    rng: StepRNG,
    purpose: str,
) -> Tensor:
    """The discriminator's gradient at a point between each real and its fake, ``[N, D]``.

    See `GradientPenalty` for where the points are; random numbers are those of ``purpose``.
    """
    start = real.x.detach()
    end = fake.x.detach()

    # Mismatched pairs share the sample, so the line leads to another real.
    if term.mismatched:
        start = next_in_global_batch(end)

    # One point on each line, under the condition of the fake.
    epsilon = uniform_per_input(real, rng, f"{purpose}/{term.name}")
    interpolates = (epsilon * start + (1 - epsilon) * end).requires_grad_()
    return input_gradient(run_discriminator(term.discriminator, interpolates, term.fake_condition))


def next_in_global_batch(x: Tensor) -> Tensor:
    """The next sample in the global batch for each one, cyclically, ``[B, ...]``."""
    following = gather_over_ranks(x).roll(-1, 0)
    return following[rank() * len(x) :][: len(x)]
