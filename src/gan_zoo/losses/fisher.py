"""Fisher GAN."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import DiscriminatorOutput, LossTerms, Positive
from gan_zoo.losses.base import Loss


class Fisher(Loss):
    """Difference of mean scores with the second moment constrained to 1 by an augmented Lagrangian.

    Mroueh & Sercu 2017, eq. 9, negated so that it is minimized: L_D = -(E + lambda (1 - O) - rho/2
    (O - 1)^2) with E = E D(x) - E D(G(z)) and O = 1/2 E D(x)^2 + 1/2 E D(G(z))^2; L_G = -E D(G(z)).
    After every discriminator step lambda <- lambda + rho (O - 1), unbounded in sign as the
    constraint is an equality. E and O are those of the global batch. At the best discriminator E^2
    is the chi-squared distance between P and Q, integral (p - q)^2 / ((p + q) / 2).

    Args:
        rho: weight of the quadratic penalty and step size of the multiplier, > 0.
    """

    mean_of_samples: bool = False
    multiplier: Tensor

    def __init__(self, rho: Positive = 1e-6) -> None:
        super().__init__()
        if rho <= 0:
            raise ValueError(f"rho must be > 0, got {rho}")
        self.rho = rho
        self.register_buffer("multiplier", torch.zeros(()))

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        gap, second_moment = mean_over_ranks(moments(real.score, fake.score))
        # Augmented Lagrangian of the constraint O = 1.
        excess = second_moment - 1.0
        loss: Tensor = -gap + self.multiplier * excess + self.rho / 2 * excess.square()
        return loss

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return -fake.score.mean()

    @torch.no_grad()
    def update(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> None:
        # Gradient ascent on the multiplier.
        second_moment = mean_over_ranks(moments(real.score.float(), fake.score.float()))[1]
        self.multiplier.add_(self.rho * (second_moment - 1.0))

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        """``fisher_ipm``: E / sqrt(O), the distance; ``fisher_constraint``: O, 1 at the end.

        The multiplier.
        """
        gap, second_moment = moments(real.score, fake.score)
        # Divided by the second moment, as the constraint need not hold yet.
        ipm = gap / second_moment.clamp_min(1e-12).sqrt()
        return {
            "fisher_ipm": ipm,
            "fisher_constraint": second_moment,
            "fisher_multiplier": self.multiplier,
        }


def moments(real: Tensor, fake: Tensor) -> Tensor:
    """E D(x) - E D(G(z)) and 1/2 E D(x)^2 + 1/2 E D(G(z))^2, ``[2]``."""
    gap = real.mean() - fake.mean()
    return torch.stack([gap, 0.5 * (real.square().mean() + fake.square().mean())])
