"""Convolution, normalization and activation of frozen networks as one operation."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class FusedConv(nn.Module):
    """A convolution, the normalization after it and an activation as one operation, for inference.

    The normalization becomes part of the weights. On a CPU with oneDNN the activation is applied
    while the result is in registers and the weights are kept in the processor's layout; elsewhere,
    and for gradients with respect to the input, torch's own operations do the same. Results differ
    from the three operations by rounding alone.

    Args:
        conv: the convolution.
        norm: the normalization of its channels, in evaluation mode.
        ceiling: the activation is clamp(x, 0, ceiling): infinity for ReLU, 6 for ReLU6; None for
            none.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, ceiling: float | None = math.inf
    ) -> None:
        super().__init__()
        self.conv = fuse_conv_bn_eval(conv.eval(), norm.eval())
        self.ceiling = ceiling
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` float32 to what the three operations would give."""
        differentiated = torch.is_grad_enabled() and x.requires_grad
        if x.is_cpu and x.dtype == torch.float32 and not differentiated and has_onednn():
            return self._by_onednn(x)
        y: Tensor = self.conv(x)
        return y if self.ceiling is None else y.clamp_(0, self.ceiling)

    def _by_onednn(self, x: Tensor) -> Tensor:
        conv = self.conv
        ops = torch.ops.mkldnn
        place = conv.padding, conv.stride, conv.dilation, conv.groups
        # Weights are brought into oneDNN's layout once.
        if self._packed is None:
            self._packed = ops._reorder_convolution_weight(
                conv.weight.detach(), *place, list(x.shape)
            )
        y: Tensor = ops._convolution_pointwise(
            x, self._packed, conv.bias, *place, *activation(self.ceiling), ""
        )
        return y

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_packed": None}  # copies pack their own


def activation(ceiling: float | None) -> tuple[str, list[float]]:
    """oneDNN's name and numbers of clamp(x, 0, ceiling)."""
    if ceiling is None:
        return "none", []
    return ("relu", []) if math.isinf(ceiling) else ("hardtanh", [0.0, ceiling])


@cache
def has_onednn() -> bool:
    """Whether torch has oneDNN's convolutions with activations, by trying one."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    place = [0, 0], [1, 1], [1, 1], 1
    try:
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            torch.ones(8, 8, 1, 1), *place, [1, 8, 2, 2]
        )
        # 8 channels of 7/8 sum up to 7, which the activation cuts to 6.
        x = torch.full((1, 8, 2, 2), 7 / 8)
        y = torch.ops.mkldnn._convolution_pointwise(x, weight, None, *place, *activation(6.0), "")
    except (AttributeError, RuntimeError):
        return False
    return bool((y == 6).all())
