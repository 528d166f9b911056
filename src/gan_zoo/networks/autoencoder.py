"""A discriminator whose score is how badly it rebuilds a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_zoo.networks.layers.normalization import maybe_spectral
from gan_zoo.networks.layers.shapes import square_image

DISTANCES = ("l1", "l2")


class AutoEncoder(nn.Module):
    """An energy for EBGAN (Zhao et al. 2016) and BEGAN (Berthelot et al. 2017): low on what it has learned to rebuild.

    Scores ``[B, *sample_shape]``: the score ``[B]`` is the mean absolute or squared error of each sample's
    reconstruction (``aux``); the code ``[B, code_dim]`` is the only feature.

    Args:
        sample_shape: ``[D]`` for vectors (fully connected) or ``[C, S, S]`` for images (convolutions as in DCGAN).
        width: channels at the image's side, or units of a hidden layer for vectors times 1/4.
        code_dim: size of the code.
        distance: ``l1`` or ``l2``.
        norm: normalization in both halves, a name of `norm_layer`; for vectors ``none`` or ``spectral``.
        aux_outputs, condition_dim, condition_channels: must be None; ``fusion`` means nothing then.
    """

    energy: ClassVar[bool] = True

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 32,
        code_dim: Count = 64,
        distance: str = "l2",
        norm: str = "none",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        condition_channels: int | None = None,
        fusion: str | None = None,
    ) -> None:
        super().__init__()
        if aux_outputs is not None or condition_dim is not None or condition_channels is not None:
            raise ValueError(
                "discriminator=autoencoder predicts no class and takes no condition, which this model needs: choose "
                "another discriminator, and a loss that works with it"
            )
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, got {distance!r}")
        self.distance = distance
        make = _vector_halves if len(sample_shape) == 1 else _image_halves
        self.encoder, self.decoder = make(sample_shape, width, code_dim, norm)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        code = self.encoder(x)
        rebuilt = self.decoder(code)
        error = (rebuilt - x).flatten(1)
        score = error.abs().mean(1) if self.distance == "l1" else error.square().mean(1)
        return DiscriminatorOutput(score=score, x=x, aux=rebuilt, features=(code,))


def _vector_halves(sample_shape: Sequence[int], width: int, code_dim: int, norm: str) -> tuple[nn.Module, nn.Module]:
    size, hidden = math.prod(sample_shape), 4 * width

    def half(inputs: int, outputs: int) -> nn.Module:
        sizes = ((inputs, hidden), (hidden, hidden), (hidden, outputs))
        first, second, last = (maybe_spectral(nn.Linear(a, b), norm) for a, b in sizes)
        return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)

    # A code as large as the data would let the identity through; a vector's code is one number short of it.
    code = min(code_dim, max(1, size - 1))
    return half(size, code), half(code, size)


def _image_halves(sample_shape: Sequence[int], width: int, code_dim: int, norm: str) -> tuple[nn.Module, nn.Module]:
    square_image(sample_shape, "discriminator=autoencoder")
    discriminator = DCGANDiscriminator(sample_shape, width, norm)
    to_code = maybe_spectral(nn.Conv2d(discriminator.out_channels, code_dim, 4), norm)
    encoder = nn.Sequential(discriminator.layers, to_code, nn.Flatten())
    decoder = DCGANGenerator(code_dim, sample_shape, width, norm)
    return encoder, decoder
