"""Self-attention over positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from gan_zoo.networks.layers.normalization import apply_spectral_norm


class SelfAttention(nn.Module):
    """x + gamma o(softmax(q(x) k(x)^T) v(x)) over positions (SAGAN, Zhang et al. 2019, eq. 1 to 3).

    Maps ``[B, C, H, W]`` to the same shape; gamma starts at 0, so that the layer begins as the
    identity. As in the authors' code, keys and values are max-pooled by 2, queries and keys have C
    / 8 channels, values C / 2, and the logits are not scaled.

    Args:
        channels: C, >= 8.
        norm: names with ``spectral`` normalize the weights of all four maps.
    """

    def __init__(self, channels: int, norm: str = "none") -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(f"attention needs at least 8 channels, got {channels}")

        def one_by_one(c_in: int, c_out: int) -> nn.Module:
            return apply_spectral_norm(nn.Conv2d(c_in, c_out, 1, bias=False), norm)

        self.query = one_by_one(channels, channels // 8)
        self.key = one_by_one(channels, channels // 8)
        self.value = one_by_one(channels, channels // 2)
        self.out = one_by_one(channels // 2, channels)
        # From zero: the layer starts as the identity.
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)
        # Keys and values are pooled to a quarter of the positions.
        key = max_pool2d(self.key(x), 2).flatten(2)
        value = max_pool2d(self.value(x), 2).flatten(2)
        # Written out: a discriminator's attention is differentiated twice by gradient penalties,
        # fused kernels are not.
        weights = (query.transpose(1, 2) @ key).softmax(-1)  # [B, HW, HW / 4]
        seen = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        y: Tensor = x + self.gamma * self.out(seen)
        return y
