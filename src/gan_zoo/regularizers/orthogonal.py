"""Orthogonal regularization."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    DiscriminatorOutput,
    FakeSamples,
    Weight,
)
from gan_zoo.regularizers.base import GeneratorRegularizer, Generators, Regularizer


class Orthogonal(Regularizer):
    """Penalizes dot products of different filters of each of the discriminator's layers.

    Lengths are free.

    Brock et al. 2019 (BigGAN), eq. 3: weight * sum over layers ||W W^T * (1 - I)||_F^2, where a
    layer's weight W has one row for each output. Layers are linear maps and convolutions, each
    group of a grouped convolution by itself. Biases of any shape, scales and embeddings are no
    filters and do not count; the authors' code leaves embeddings out, too. Under spectral
    normalization W is the weight that is trained, before it is normalized.

    Args:
        weight: beta of the paper.
        every: see `Regularizer`.
    """

    needs_double_backward: ClassVar[bool] = False

    def __init__(self, weight: Weight = 1e-4, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        terms = [
            off_diagonal_gram(matrix)
            for layer in term.discriminator.modules()
            for matrix in weight_matrices(layer)
        ]
        return self.weight * torch.stack(terms).sum() if terms else real.score.new_zeros(())


class OrthogonalGenerator(GeneratorRegularizer):
    """`Orthogonal` for the layers of the generators; embeddings are left out, as in BigGAN.

    Args:
        weight: beta of the paper.
        every: see `GeneratorRegularizer`.
    """

    def __init__(self, weight: Weight = 1e-4, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def penalty(self, model: Generators, batch: Batch, fakes: FakeSamples) -> Tensor | None:
        layers = model.generators.modules()
        terms = [off_diagonal_gram(matrix) for layer in layers for matrix in weight_matrices(layer)]
        return self.weight * torch.stack(terms).sum() if terms else None


def weight_matrices(layer: nn.Module) -> list[Tensor]:
    """The trained weight of a layer as matrices ``[outputs, inputs]``, one for each group."""
    if not isinstance(layer, (nn.Linear, _ConvNd)):
        return []
    # Reading a weight would update spectral normalization, but not weight normalization.
    weight: Tensor | None = None
    if is_parametrized(layer, "weight"):
        weight = getattr(layer.parametrizations["weight"], "original", None)  # type: ignore[index]
    if weight is None:
        weight = layer.weight
    groups = weight.chunk(getattr(layer, "groups", 1))
    if isinstance(layer, _ConvTransposeNd):  # its weight is [inputs, outputs, ...]
        return [group.transpose(0, 1).flatten(1) for group in groups]
    return [group.flatten(1) for group in groups]


def off_diagonal_gram(matrix: Tensor) -> Tensor:
    """The sum of the squared dot products of different rows, in float32 at least."""
    with torch.autocast(matrix.device.type, enabled=False):
        products = matrix @ matrix.T
    # Each pair of rows appears once above the diagonal and once below.
    return 2 * products.triu(1).square().sum()
