"""The layers of vision transformers: RMS normalization, attention with rotated queries and keys,
SwiGLU, and residual blocks of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import at_least_float32

EPSILON = 1e-6
LONGEST = 10_000.0
"""Ratio of the highest to the lowest frequency of positions (Vaswani et al. 2017, section 3.5)."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + 1e-6) over the last dimension (Zhang & Sennrich 2019, eq. 4).

    In float32 at least, also in mixed precision.

    Args:
        width: size of the last dimension.
        affine: whether each number is then multiplied by a learned gain, 1 at the start.
    """

    def __init__(self, width: int, affine: bool = True) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        x = at_least_float32(x)
        y = x * (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
        return y if self.gain is None else y * self.gain


class SwiGLU(nn.Module):
    """W3 (SiLU(W1 x) * W2 x) (Shazeer 2020, eq. 6), with 8/3 as many hidden units as inputs.

    Args:
        width: inputs and outputs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 2 * 4 * width // 3
        self.enter = xavier_linear(width, 2 * hidden)
        self.leave = xavier_linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.enter(x).chunk(2, -1)
        y: Tensor = self.leave(F.silu(gate) * value)
        return y


class Attention(nn.Module):
    """Multi-head self-attention of tokens ``[B, T, width]``.

    Queries and keys are divided by their root mean square in each head, with a learned gain
    (Henry et al. 2020; Dehghani et al. 2023, section 2.1), so that with gains of 1 a logit is at
    most sqrt(width / heads); then they are rotated by the positions of their tokens (Su et al.
    2021, eq. 34).

    Args:
        width: size of a token, a multiple of 4 ``heads``.
        heads: number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()

        # Rotary positions turn pairs of numbers along two axes: 4 for each head.
        if width % (4 * heads):
            raise ValueError(f"width must be a multiple of 4 heads = {4 * heads}, got {width}")
        self.heads = heads
        # Queries, keys and values in one product.
        self.enter = xavier_linear(width, 3 * width, bias=False)
        self.query_norm = RMSNorm(width // heads)
        self.key_norm = RMSNorm(width // heads)
        self.leave = xavier_linear(width, width)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """Tokens ``[B, T, width]``, given the `rotation` ``[2, T, width / heads / 2]``."""
        query, key, value = self.enter(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query = rotate(self.query_norm(query), rotation)
        key = rotate(self.key_norm(key), rotation)
        seen = attend(query.to(value.dtype), key.to(value.dtype), value)
        y: Tensor = self.leave(seen.transpose(1, 2).flatten(2))
        return y


class ScaledBlock(nn.Module):
    """x + a attention(norm(x)), then the same with SwiGLU; a is learned for each channel.

    LayerScale, Touvron et al. 2021, eq. 4.

    Args:
        width, heads: as in `Attention`.
        scale: what a starts from.
    """

    def __init__(self, width: int, heads: int, scale: float = 0.1) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(width)
        self.attention = Attention(width, heads)
        # Blocks begin near the identity.
        self.attention_scale = nn.Parameter(torch.full((width,), scale))
        self.mlp_norm = RMSNorm(width)
        self.mlp = SwiGLU(width)
        self.mlp_scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        x = x + self.attention_scale * self.attention(self.attention_norm(x), rotation)
        y: Tensor = x + self.mlp_scale * self.mlp(self.mlp_norm(x))
        return y


class ModulatedBlock(nn.Module):
    """x + g attention((1 + s) norm(x)), then the same with SwiGLU; s and g are those of a style.

    Both are linear in SiLU(style) and small at the start: the block begins near the identity.

    Args:
        width, heads: as in `Attention`.
        style_dim: size of the styles.
    """

    def __init__(self, width: int, heads: int, style_dim: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width, affine=False)
        self.attention = Attention(width, heads)
        self.mlp = SwiGLU(width)
        self.modulation = modulation(style_dim, 4 * width)

    def forward(self, x: Tensor, rotation: Tensor, style: Tensor) -> Tensor:
        """Tokens ``[B, T, width]`` of tokens and styles ``[B, style_dim]``."""
        parts: Tensor = self.modulation(style)[:, None]
        scale, gate, mlp_scale, mlp_gate = parts.chunk(4, 2)
        x = x + gate * self.attention((1 + scale) * self.norm(x), rotation)
        y: Tensor = x + mlp_gate * self.mlp((1 + mlp_scale) * self.norm(x))
        return y


def modulation(style_dim: int, outputs: int) -> nn.Module:
    """Scales and gates of a style: SiLU, and a linear map with Xavier's weights times 0.1."""
    return nn.Sequential(nn.SiLU(), xavier_linear(style_dim, outputs, gain=0.1))


def xavier_linear(inputs: int, outputs: int, bias: bool = True, gain: float = 1.0) -> nn.Linear:
    """A linear map with Xavier's uniform weights times ``gain``; the bias starts at 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight, gain)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


# ------------------------------------------------------------------------- positions


def axial_angles(side: int, size: int) -> Tensor:
    """The angles of the tokens of a square, ``[side^2, size]`` in float64.

    The first half are the row times frequencies from 1 to 1/10000, the second half the column
    times the same.
    """
    frequencies = LONGEST ** -(torch.arange(size // 2, dtype=torch.float64) / (size // 2))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies
    rows = angles[:, None].expand(-1, side, -1)
    columns = angles[None].expand(side, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)


def sincos_positions(side: int, width: int) -> Tensor:
    """Sines and cosines of the `axial_angles`, ``[side^2, width]``; ``width`` is a multiple of
    4.
    """
    angles = axial_angles(side, width // 2)
    return torch.cat([angles.sin(), angles.cos()], 1).float()


def axial_rotation(side: int, head_width: int, unplaced: int = 0) -> Tensor:
    """Cosines and sines for `rotate`, ``[2, unplaced + side^2, head_width / 2]``.

    Tokens without a place come first, and are not rotated.
    """
    angles = axial_angles(side, head_width // 2)
    angles = torch.cat([angles.new_zeros(unplaced, head_width // 2), angles])
    return torch.stack([angles.cos(), angles.sin()]).float()


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Pairs of numbers of ``x [..., T, D]``, number i and i + D / 2, rotated by their angles.

    The dot product of two rotated vectors depends on the difference of their positions alone.
    """
    cos, sin = rotation
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


# ------------------------------------------------------------------------- attention


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) v for ``[..., T, D]`` (Vaswani et al. 2017, eq. 1).

    Fused kernels compute it and its gradient. Gradients of that gradient, which the kernels lack
    and penalties need, are those of the formula written out.
    """
    differentiated = torch.is_grad_enabled() and (query.requires_grad or value.requires_grad)
    # Compiled networks are not differentiated twice.
    if not differentiated or torch.compiler.is_compiling():
        return F.scaled_dot_product_attention(query, key, value)
    result: Tensor = _TwiceDifferentiable.apply(query, key, value)
    return result


def written_out(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What `attend` computes, in operations that can be differentiated any number of times."""
    logits = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return logits.softmax(-1) @ value


class _TwiceDifferentiable(torch.autograd.Function):
    """Fused attention whose backward pass can itself be differentiated."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        # A graph of its own, for the fused backward pass.
        with torch.enable_grad():
            own = [part.detach().requires_grad_() for part in (query, key, value)]
            result = F.scaled_dot_product_attention(own[0], own[1], own[2])
        ctx.own = own
        ctx.result = result
        ctx.save_for_backward(query, key, value)
        return result.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        # Gradients are recorded only if they are to be differentiated.
        gradients: tuple[Tensor, ...]
        if not torch.is_grad_enabled():
            gradients = torch.autograd.grad(ctx.result, ctx.own, gradient, retain_graph=True)
            return gradients

        # Aliases of the inputs, to which the formula's graph leads back.
        own = [
            part.view_as(part) if part.requires_grad else part.detach().requires_grad_()
            for part in ctx.saved_tensors
        ]
        gradients = torch.autograd.grad(written_out(*own), own, gradient, create_graph=True)
        return gradients
