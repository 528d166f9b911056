"""Instance normalization whose scale and shift depend on a vector."""

from __future__ import annotations

from torch import Tensor, nn

from gan_zoo.core.types import Count


class AdaptiveInstanceNorm(nn.Module):
    """AdaIN: (x - mean) / std * gamma(c) + beta(c), mean and std over the pixels of each channel.

    Huang & Belongie 2017, eq. 8, with learned gamma and beta as in MUNIT (Huang et al. 2018, eq.
    10). gamma = 1 + A c and beta = B c, both with biases.

    Args:
        channels: C of the activations ``[B, C, H, W]``.
        condition_dim: size of the vectors ``[B, condition_dim]``.
    """

    conditional = True

    def __init__(self, channels: Count, condition_dim: Count) -> None:
        super().__init__()
        self.normalize = nn.GroupNorm(channels, channels, affine=False)
        self.scale_and_shift = nn.Linear(condition_dim, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.scale_and_shift(condition)[:, :, None, None].chunk(2, dim=1)
        y: Tensor = self.normalize(x) * (1 + scale) + shift
        return y
