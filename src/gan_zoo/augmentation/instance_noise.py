"""Instance noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Weight


class InstanceNoise(nn.Module):
    """Adds N(0, std^2) to every value that the discriminator sees, real or fake.

    Sonderby et al. 2017, section 3.2.

    It makes the distributions of reals and fakes overlap, so that their divergence has a gradient.
    With ``regularizer=fade`` the noise is annealed to 0 during training.

    Args:
        std: standard deviation, >= 0, for samples in [-1, 1].

    Attributes:
        std: the same, a buffer: saved with the discriminator.
    """

    std: Tensor

    def __init__(self, std: Weight = 0.1) -> None:
        super().__init__()
        if std < 0:
            raise ValueError(f"std must be >= 0, got {std}")
        self.register_buffer("std", torch.tensor(float(std)))

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        channels = colored or x.shape[1]
        noisy = x[:, :channels] + self.std * torch.randn_like(x[:, :channels])
        return noisy if channels == x.shape[1] else torch.cat([noisy, x[:, channels:]], 1)
