"""Fully connected networks for rows of tables (CTGAN)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Count, Fraction, Shape


class Residual(nn.Module):
    """Activations after one layer, followed by its inputs: ``[B, inputs] -> [B, width +
    inputs]``.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.layers(x), x], 1)


class TabularGenerator(nn.Module):
    """Latents to the raw numbers of rows, ``[B, latent_dim] -> [B, D]`` (Xu et al. 2019, section
    4.4).

    The model makes rows of them: tanh for scalars, the Gumbel softmax for one-hot vectors.

    Args:
        latent_dim: size of the latents, and of the condition after them.
        sample_shape: ``[D]``.
        widths: units of each hidden layer.
    """

    def __init__(
        self, latent_dim: Count, sample_shape: Shape, widths: Sequence[Count] = (256, 256)
    ) -> None:
        super().__init__()
        require_rows(sample_shape, "generator=tabular")
        inputs = latent_dim
        # Residual layers concatenate their outputs to their inputs.
        layers: list[nn.Module] = []
        for width in widths:
            layers.append(Residual(inputs, width))
            inputs += width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, sample_shape[0]))

    def forward(self, latents: Tensor) -> Tensor:
        raw: Tensor = self.layers(latents)
        return raw


class TabularDiscriminator(nn.Module):
    """Rows ``[B, D]`` to scores ``[B]`` through LeakyReLU layers with dropout (Xu et al. 2019,
    section 4.4).

    Args:
        sample_shape: ``[D]``, of a row with its condition, or of a pack of them.
        widths: units of each hidden layer.
        dropout: fraction of activations that are dropped.
    """

    def __init__(
        self,
        sample_shape: Shape,
        widths: Sequence[Count] = (256, 256),
        dropout: Fraction = 0.5,
    ) -> None:
        super().__init__()
        require_rows(sample_shape, "discriminator=tabular")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([sample_shape[0], *widths]):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear([sample_shape[0], *widths][-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(x).flatten()
        return scores


class TabularEncoder(nn.Module):
    """Rows ``[B, D]`` to ``[B, outputs]`` through ReLU layers.

    Args:
        outputs: size of the result.
        sample_shape: ``[D]``.
        widths: units of each hidden layer.
    """

    def __init__(
        self, outputs: Count, sample_shape: Shape, widths: Sequence[Count] = (128, 128)
    ) -> None:
        super().__init__()
        require_rows(sample_shape, "encoder=tabular")
        layers: list[nn.Module] = []
        sizes = [sample_shape[0], *widths]
        for inputs, width in pairwise(sizes):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.layers(x)
        return codes


def require_rows(sample_shape: Sequence[int], network: str) -> None:
    """Raise `ValueError` unless samples are vectors."""
    if len(sample_shape) != 1:
        raise ValueError(
            f"{network} makes or takes rows of tables, data.sample_shape must be [D], got"
            f" {list(sample_shape)}: use data=table"
        )
