"""Fully connected networks for samples of any shape."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape, Share
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.minibatch_statistics import MinibatchStatistic
from gan_zoo.networks.layers.normalization import apply_spectral_norm


def _hidden_layers(
    inputs: int,
    width: int,
    depth: int,
    activation: nn.Module,
    norm: str = "none",
    dropout: float = 0.0,
) -> list[nn.Module]:
    if depth < 1:
        raise ValueError(f"depth must be >= 1, got {depth}")
    sizes = [inputs] + [width] * depth
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [apply_spectral_norm(nn.Linear(fan_in, fan_out), norm), activation]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    return layers


class MLPGenerator(nn.Module):
    """Latents to samples through ReLU layers; the generator of Goodfellow et al. 2014.

    Maps ``[B, latent_dim]`` to ``[B, *sample_shape]``: in (-1, 1) by a tanh for images, unbounded
    for vectors.

    Args:
        latent_dim: size of the latents.
        sample_shape: shape of one sample, such as ``[2]`` or ``[1, 28, 28]``.
        width, depth: units of a hidden layer, number of hidden layers.
    """

    def __init__(
        self, latent_dim: Count, sample_shape: Shape, width: Count = 256, depth: Count = 3
    ) -> None:
        super().__init__()
        last = nn.Linear(width, math.prod(sample_shape))
        squash = nn.Tanh() if len(sample_shape) > 1 else nn.Identity()
        layers = _hidden_layers(latent_dim, width, depth, nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers, last, nn.Unflatten(1, tuple(sample_shape)), squash)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents)  # type: ignore[no-any-return]


class MLPDiscriminator(nn.Module):
    """Samples ``[B, *sample_shape]`` to scores ``[B]`` through LeakyReLU layers.

    Args:
        sample_shape: shape of one sample.
        width, depth: units of a hidden layer, number of hidden layers.
        norm: ``none`` or ``spectral``.
        minibatch: ``none``, or a `MinibatchStatistic` of the last activations: ``stddev`` or
            ``difference``.
        aux_outputs, condition_dim, fusion: as in `Heads`.
        dropout: fraction of each hidden layer's units that is left out in training, in [0, 1).

    Raises:
        ValueError: for another norm, a depth below 1, or a fraction outside [0, 1).
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 256,
        depth: Count = 3,
        norm: str = "none",
        minibatch: str = "none",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        if norm not in ("none", "spectral"):
            raise ValueError(f"norm must be one of none, spectral, got {norm!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be >= 0 and < 1, got {dropout}")
        activation = nn.LeakyReLU(0.2, inplace=True)
        layers = _hidden_layers(math.prod(sample_shape), width, depth, activation, norm, dropout)
        self.layers = nn.Sequential(nn.Flatten(), *layers)
        self.minibatch = nn.Identity() if minibatch == "none" else MinibatchStatistic(minibatch)
        # The batch statistic is one more feature.
        self.heads = Heads(
            [width + (minibatch != "none")], aux_outputs, condition_dim, fusion, norm
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.heads(self.minibatch(self.layers(x)), x, condition)
        return output
