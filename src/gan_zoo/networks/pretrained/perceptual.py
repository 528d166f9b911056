"""The difference of two images' activations, as perceptual losses and metrics measure it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

FLOOR = 1e-2
"""Smallest length, which limits the gradient where all activations are near zero."""


def unit_difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """The squared distance of activations ``[B, F, ...]`` at each place, ``[B, ...]``, at most 4.

    Activations are divided by their length over channels before (Zhang et al. 2018, eq. 1).
    """
    a, b = (F.normalize(activations, dim=1, eps=FLOOR) for activations in (ours, theirs))
    return (a - b).square().sum(1)
