"""Layers with equalized learning rates (Karras et al. 2018, section 4.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2


def scaled_leaky_relu(x: Tensor, gain: float = math.sqrt(2)) -> Tensor:
    """``gain`` LeakyReLU(x), slope 0.2.

    Sqrt(2) about keeps the second moment of normal activations.
    """
    return F.leaky_relu(x, SLOPE) * gain


def rms_normalize(x: Tensor) -> Tensor:
    """Each row of ``x [B, D]`` divided by the root of its mean square."""
    y: Tensor = x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    return y


class EqualizedLinear(nn.Module):
    """x (W m / sqrt(inputs))^T + b m, W from N(0, 1 / m^2), m the learning-rate multiplier.

    Args:
        inputs, outputs: sizes.
        lr_multiplier: m; Adam, whose steps do not depend on scale, changes the product by m times
            its learning rate.
        bias: what b m starts from.
    """

    def __init__(
        self, inputs: int, outputs: int, lr_multiplier: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        self.scale = lr_multiplier / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)


class EqualizedConv(nn.Module):
    """A convolution by W / sqrt(fan_in), where W starts from N(0, 1).

    Args:
        c_in, c_out: channels.
        kernel: side of the kernel, odd; the size stays, but with ``stride`` there is no padding.
        stride: 1 or 2.
        bias: whether there is a bias, from 0.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = kernel // 2 if stride == 1 else 0
        self.scale = 1 / math.sqrt(c_in * kernel**2)
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)
