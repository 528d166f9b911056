"""Autoencoder discriminator, whose score is the reconstruction error (EBGAN, BEGAN)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_zoo.networks.layers.normalization import apply_spectral_norm
from gan_zoo.networks.layers.shapes import square_image

DISTANCES = ("l1", "l2")


class AutoEncoder(nn.Module):
    """Autoencoder energy for EBGAN (Zhao et al. 2016) and BEGAN (Berthelot et al. 2017).

    Scores ``[B, *sample_shape]``: the score ``[B]`` is the mean absolute or squared error of each
    sample's reconstruction (``aux``); the code ``[B, code_dim]`` is the only feature.

    Args:
        sample_shape: ``[D]`` for vectors (fully connected) or ``[C, S, S]`` for images
            (convolutions as in DCGAN).
        width: channels at the image's side, or units of a hidden layer for vectors times 1/4.
        code_dim: size of the code.
        distance: ``l1`` or ``l2``.
        norm: normalization in both halves, a name of `norm_layer`; for vectors ``none`` or
            ``spectral``.
        aux_outputs, condition_dim, condition_channels: must be None; ``fusion`` is ignored.
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
                "discriminator=autoencoder predicts no class and takes no condition, which this"
                " model needs: choose another discriminator, and a loss that works with it"
            )
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, got {distance!r}")
        self.distance = distance
        # Dense halves for vectors, convolutions for images.
        make = _vector_halves if len(sample_shape) == 1 else _image_halves
        self.encoder, self.decoder = make(sample_shape, width, code_dim, norm)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        # The score is the error of each sample, the mean over its elements.
        code = self.encoder(x)
        reconstruction = self.decoder(code)
        error = (reconstruction - x).flatten(1)
        score = error.abs().mean(1) if self.distance == "l1" else error.square().mean(1)
        return DiscriminatorOutput(score=score, x=x, aux=reconstruction, features=(code,))


def _vector_halves(
    sample_shape: Sequence[int], width: int, code_dim: int, norm: str
) -> tuple[nn.Module, nn.Module]:
    size = math.prod(sample_shape)
    hidden = 4 * width

    def half(inputs: int, outputs: int) -> nn.Module:
        sizes = ((inputs, hidden), (hidden, hidden), (hidden, outputs))
        first, second, last = (apply_spectral_norm(nn.Linear(a, b), norm) for a, b in sizes)
        return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)

    # A code as large as the data would allow the identity; a vector's code is at least one number
    # smaller.
    code = min(code_dim, max(1, size - 1))
    return half(size, code), half(code, size)


def _image_halves(
    sample_shape: Sequence[int], width: int, code_dim: int, norm: str
) -> tuple[nn.Module, nn.Module]:
    square_image(sample_shape, "discriminator=autoencoder")
    discriminator = DCGANDiscriminator(sample_shape, width, norm)
    to_code = apply_spectral_norm(nn.Conv2d(discriminator.out_channels, code_dim, 4), norm)
    encoder = nn.Sequential(discriminator.layers, to_code, nn.Flatten())
    decoder = DCGANGenerator(code_dim, sample_shape, width, norm)
    return encoder, decoder
