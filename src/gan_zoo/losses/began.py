"""Boundary equilibrium GAN."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import DiscriminatorOutput, Fraction, LossTerms, Positive
from gan_zoo.losses.base import Loss, accuracy_by_means, relative_to_midpoint, require_autoencoder


class BEGAN(Loss):
    """The discriminator is an autoencoder; a controller balances its errors on fakes and reals.

    Berthelot et al. 2017, section 3.4, with l the per-sample reconstruction error: L_D = E l(x) - k
    E l(G(z)), L_G = E l(G(z)), and after every discriminator step k <- clip(k + rate (gamma E l(x)
    - E l(G(z))), 0, 1), from the means over the global batch.

    Args:
        gamma: E l(G(z)) / E l(x) at equilibrium, in [0, 1]; more is more diverse, less is sharper.
        rate: lambda_k, the gain of the controller, > 0.
    """

    high_is_real: ClassVar[bool] = False

    k: Tensor

    def __init__(self, gamma: Fraction = 0.5, rate: Positive = 0.001) -> None:
        super().__init__()
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma must be in [0, 1], got {gamma}")
        if rate <= 0:
            raise ValueError(f"rate must be > 0, got {rate}")
        self.gamma = gamma
        self.rate = rate
        # A buffer, so that it is saved and moves with the loss.
        self.register_buffer("k", torch.zeros(()))

    def check(self, discriminator: nn.Module) -> None:
        require_autoencoder(self, discriminator)

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return real.score.mean() - self.k * fake.score.mean()

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return fake.score.mean()

    @torch.no_grad()
    def update(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> None:
        # A proportional controller on the difference from the target ratio.
        balance = mean_over_ranks(
            self.gamma * real.score.float().mean() - fake.score.float().mean()
        )
        self.k.add_(self.rate * balance).clamp_(0.0, 1.0)

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        """``began_m``: l(x) + |gamma l(x) - l(G(z))|, lower is better; ``began_k``: k."""
        on_real = real.score.mean()
        on_fake = fake.score.mean()
        return {"began_m": on_real + (self.gamma * on_real - on_fake).abs(), "began_k": self.k}

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return relative_to_midpoint(-real.score, -fake.score)

    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """Reals reconstructed better than the average fake, and fakes worse than the average
        real.
        """
        return accuracy_by_means(-real.score, -fake.score)
