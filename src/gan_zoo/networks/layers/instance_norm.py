"""Instance normalization with a fast path for channels-last memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InstanceNorm(nn.GroupNorm):
    """Each channel of each sample to mean 0 and variance 1, then a learned scale and shift.

    Ulyanov et al. 2016.

        y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over H and W of
        ``x [B, C, H, W]``.

    A `torch.nn.GroupNorm` of one channel each, with its own kernels for float32 or float64 in
    channels-last on a CPU, where PyTorch's take longer (``docs/speed.md``).
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling() or not self._uses_custom_kernel(x):
            return super().forward(x)
        y: Tensor = _InstanceNorm.apply(x, self.weight, self.bias, self.eps)
        return y

    def _uses_custom_kernel(self, x: Tensor) -> bool:
        # Which would round matrix products.
        on_cpu = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        return (
            on_cpu
            and x.dtype == self.weight.dtype
            and x.dtype in (torch.float32, torch.float64)
            and x.is_contiguous(memory_format=torch.channels_last)
        )


class _InstanceNorm(torch.autograd.Function):
    """Instance normalization with sums over pixels as matrix products, for channels-last memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        pixels = _pixels(x)
        # The mean first, as the sum of squares of large values would lose digits.
        mean = _mean(pixels)
        centered = pixels - mean
        inverse = (_mean(centered * centered) + eps).rsqrt()

        # Inputs and statistics are enough: what was normalized is computed again.
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        ctx.eps = eps

        # One pass over memory: bias + centered * (inverse * weight).
        y = torch.empty_like(x)
        torch.addcmul(bias, centered, inverse * weight, out=_pixels(y))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated once more
            # torch's own operation, whose gradient can be differentiated.
            y = F.group_norm(x, len(weight), weight, bias, ctx.eps)
            requested = [
                tensor
                for tensor, needed in zip((x, weight, bias), ctx.needs_input_grad, strict=False)
                if needed
            ]
            gradients = iter(torch.autograd.grad(y, requested, gradient, create_graph=True))
            return *(
                next(gradients) if needed else None for needed in ctx.needs_input_grad[:3]
            ), None

        # The gradient of the normalization in closed form, by sums over pixels.
        pixels = _pixels(x)
        slopes = _pixels(gradient.contiguous(memory_format=torch.channels_last))
        slope = _mean(slopes)
        # Of the slopes with the normalized pixels.
        along = (_mean(slopes * pixels) - mean * slope) * inverse
        scale = inverse * weight
        tilt = scale * inverse * along
        dx = torch.empty_like(x)
        count = pixels.shape[1]
        torch.addcmul(tilt * mean - scale * slope, slopes, scale, out=_pixels(dx)).addcmul_(
            pixels, tilt, value=-1
        )
        return dx, count * along.sum((0, 1)), count * slope.sum((0, 1)), None


def _pixels(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` in channels-last as ``[B, H W, C]``, in the same memory."""
    b, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).view(b, h * w, c)


def _mean(pixels: Tensor) -> Tensor:
    """The mean over pixels, ``[B, 1, C]``."""
    b, count, _ = pixels.shape
    return torch.bmm(pixels.new_full((1, 1, count), 1 / count).expand(b, 1, count), pixels)
