"""Instance noise."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_zoo.augmentation.base import Augmentation
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, LossTerms, Weight


class InstanceNoise(Augmentation):
    """Adds N(0, std^2) to every value that the discriminator sees, real or fake.

    Sonderby et al. 2017, section 3.2.

    It makes the distributions of reals and fakes overlap, so that their divergence has a gradient.
    The noise is annealed linearly to 0: a function of the step alone.

    Args:
        std: standard deviation at the first step, >= 0, for samples in [-1, 1].
        steps: discriminator steps until there is no noise, >= 1; None for constant noise.

    Attributes:
        std: the present standard deviation, a buffer: saved with the discriminator.
    """

    std: Tensor

    def __init__(self, std: Weight = 0.1, steps: Count | None = 3000) -> None:
        super().__init__()
        if std < 0:
            raise ValueError(f"std must be >= 0, got {std}")
        if steps is not None and steps < 1:
            raise ValueError(f"steps must be >= 1, or null for constant noise, got {steps}")
        self.initial_std = std
        self.steps = steps
        # A buffer, as it falls in training and has to be saved.
        self.register_buffer("std", torch.tensor(float(std)))

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        channels = colored or x.shape[1]

        # Conditions that move along stay as they are.
        noisy = x[:, :channels] + self.std * torch.randn_like(x[:, :channels])
        return noisy if channels == x.shape[1] else torch.cat([noisy, x[:, channels:]], 1)

    def update(
        self, term: AdversarialTerm, real: DiscriminatorOutput, margin: Tensor, step: int
    ) -> None:
        if self.steps is not None:
            self.std.fill_(self.initial_std * max(0.0, 1 - step / self.steps))

    def log_values(self) -> LossTerms:
        """``std``, the noise of the next step."""
        return {"std": self.std}
