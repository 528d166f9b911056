"""Convolutions whose weights depend on a style."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.networks.layers.equalized import EqualizedLinear
from gan_zoo.networks.layers.resample import Blur

EPSILON = 1e-8


class ModulatedConv(nn.Module):
    """A convolution with weights w'_oik = s_i w_oik, scaled to length 1 for each output.

    Karras et al. 2020, eq. 1, 3.

    s = A(style) is a scale for each input channel of each sample. As convolutions are linear,
    scaling the inputs by s and the outputs by 1 / sqrt(sum_ik (s_i w_oik)^2 + 1e-8) is the same as
    convolving each sample with weights of its own; all of it can be differentiated twice.

    Args:
        c_in, c_out: channels.
        kernel: side of the kernel, odd.
        style_dim: size of the style vectors ``[B, style_dim]``.
        demodulate: whether outputs are scaled; without it s is divided by sqrt(fan_in).
        up: double the size by a transposed convolution and the filter [1, 3, 3, 1].
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        style_dim: int,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.affine = EqualizedLinear(style_dim, c_in, bias=1.0)
        self.demodulate = demodulate
        self.gain = 1.0 if demodulate else 1 / math.sqrt(c_in * kernel**2)
        self.blur = Blur(padding=1, gain=4.0) if up else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        # The style scales the inputs, which is the same as scaling the weights.
        scales = self.affine(style) * self.gain
        y = self.convolve(x * scales[:, :, None, None].to(x.dtype))
        if not self.demodulate:
            return y

        # Demodulation: the length of each output's scaled weights.
        squares = self.weight.square().sum((2, 3))
        lengths = scales.square() @ squares.T
        out: Tensor = y * (lengths + EPSILON).rsqrt()[:, :, None, None].to(y.dtype)
        return out

    def convolve(self, x: Tensor) -> Tensor:
        """``x`` convolved with the shared weights."""
        if self.blur is None:
            return F.conv2d(x, self.weight, padding=self.weight.shape[2] // 2)
        y: Tensor = self.blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        return y
