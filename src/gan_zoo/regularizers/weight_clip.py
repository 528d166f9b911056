"""Weight clipping."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from gan_zoo.core.types import Positive
from gan_zoo.regularizers.base import Regularizer


class WeightClip(Regularizer):
    """Clamps the discriminator's weights to [-limit, limit] after its step.

    Arjovsky et al. 2017, algorithm 1.

    Args:
        limit: c of the paper, > 0.
    """

    needs_double_backward: ClassVar[bool] = False

    def __init__(self, limit: Positive = 0.01) -> None:
        super().__init__()
        if limit <= 0:
            raise ValueError(f"limit must be > 0, got {limit}")
        self.limit = limit

    @torch.no_grad()
    def project(self, discriminator: nn.Module) -> None:
        torch._foreach_clamp_min_(list(discriminator.parameters()), -self.limit)
        torch._foreach_clamp_max_(list(discriminator.parameters()), self.limit)
