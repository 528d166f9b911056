"""Zero-centered penalties without second derivatives."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from gan_zoo.core.comparable_outputs import comparable_outputs
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Count,
    DiscriminatorOutput,
    Positive,
    Weight,
)
from gan_zoo.regularizers.base import Regularizer


class ApproximateR1(Regularizer):
    """R1 by differences of scores: the discriminator is not differentiated twice.

    Hyun et al. 2025 (GAT, arXiv 2509.24935): gamma/2 E |D(x) - D(x + s n)|^2 / s^2 over reals, n ~
    N(0, I). To first order in s its mean over n is gamma/2 E ||grad D(x)||^2, which is `R1`. Both
    scores are computed with the same random numbers, so that augmentation and dropout change both
    alike; this takes two forward passes. Scores of patches are summed for each sample, as in `R1`.

    Args:
        gamma: weight.
        step: s, > 0, for samples in [-1, 1].
        every: see `Regularizer`.
    """

    needs_double_backward: ClassVar[bool] = False
    per_sample: ClassVar[bool] = True

    def __init__(self, gamma: Weight = 10.0, step: Positive = 0.01, every: Count = 1) -> None:
        super().__init__(every)
        if step <= 0:
            raise ValueError(f"step must be > 0, got {step}")
        self.gamma = gamma
        self.step = step

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        return self.difference(term, real.x, term.real_condition, rng.derive("approximate r1"))

    def difference(self, term: AdversarialTerm, x: Tensor, condition: Any, rng: StepRNG) -> Tensor:
        """The weighted penalty at ``x``."""
        x = x.detach()
        # One random direction for all of a sample, repeatable on every rank.
        noise = rng.normal(f"finite difference/{term.name}", *x.shape).to(x)
        points = [(x, condition), (x + self.step * noise, condition)]
        outputs = comparable_outputs(term.discriminator, points, rng)
        scores = [output.score.reshape(len(output.score), -1).sum(1) for output in outputs]

        # The slope along the direction, by a difference instead of a second derivative.
        slope = (scores[0] - scores[1]) / self.step
        return self.gamma / 2 * slope.square().mean()


class ApproximateR2(ApproximateR1):
    """`ApproximateR1` on fakes: `R2` without second derivatives.

    Args:
        gamma, step, every: as in `ApproximateR1`.
    """

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        return self.difference(term, fake.x, term.fake_condition, rng.derive("approximate r2"))
