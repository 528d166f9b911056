"""Resampling with the filter [1, 3, 3, 1], which StyleGAN2 and R3GAN use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def filter_kernel(gain: float) -> Tensor:
    """The separable filter [1, 3, 3, 1] / 8 in both directions, times ``gain``: ``[1, 1, 4,
    4]``.
    """
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(row, row)[None, None] * gain


class Blur(nn.Module):
    """Each channel filtered by [1, 3, 3, 1] / 8; the size changes by 2 ``padding`` - 3.

    Args:
        padding: rows and columns of zeros on each side.
        gain: factor on the filter, whose sum is otherwise 1.
    """

    kernel: Tensor

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("kernel", filter_kernel(gain), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, padding=self.padding, groups=x.shape[1])


class Resample(nn.Module):
    """Half or double the size with the separable filter [1, 3, 3, 1] / 8."""

    kernel: Tensor

    def __init__(self, up: bool) -> None:
        super().__init__()
        self.up = up
        self.register_buffer("kernel", filter_kernel(4.0 if up else 1.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        change = F.conv_transpose2d if self.up else F.conv2d
        y: Tensor = change(x, kernel, stride=2, padding=1, groups=x.shape[1])
        return y
