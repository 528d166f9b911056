"""Orthogonal regularisation."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_zoo.noise import Noise
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.types import Critique, Duel


class Orthogonal(Regularizer):
    """The filters of each of the critic's layers are pulled to be orthogonal, whatever their lengths.

    Brock et al. 2019 (BigGAN), eq. 3: weight * sum over matrices ||W W^T * (1 - I)||_F^2, where a layer's weight is
    flattened to one row for each output.

    Args:
        weight: beta of the paper.
        every: see `Regularizer`.
    """

    second_order: ClassVar[bool] = False

    def __init__(self, weight: float = 1e-4, every: int = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def penalty(self, duel: Duel, real: Critique, fake: Critique, noise: Noise) -> Tensor:
        overlaps = [overlap(w.flatten(1)) for w in duel.critic.parameters() if w.ndim > 1]
        return self.weight * torch.stack(overlaps).sum() if overlaps else real.score.new_zeros(())


def overlap(matrix: Tensor) -> Tensor:
    """The sum of the squared dot products of different rows."""
    squared = (matrix @ matrix.T).square()
    return squared.sum() - squared.diagonal().sum()
