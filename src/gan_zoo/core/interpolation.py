"""Paths between latents."""

from __future__ import annotations

import torch
from torch import Tensor


def spherical(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """The points at ``t`` on the great circles from ``start`` to ``end``, the length interpolated
    too (White 2016).

    Args:
        start, end: ``[..., D]``.
        t: in [0, 1], broadcast against ``[..., 1]``.
    """
    a, b = (p / p.norm(dim=-1, keepdim=True).clamp(min=1e-8) for p in (start, end))
    # Kept off 0 and pi, where the sine below would be zero.
    angle = (a * b).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()
    ray = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    length = torch.lerp(start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True), t)
    path: Tensor = ray * length
    return path
