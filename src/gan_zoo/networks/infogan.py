"""InfoGAN's networks for MNIST.

Chen et al. 2016, appendix C.1: two strided convolutions and one wide dense layer in the
discriminator, the mirror image in the generator, batch normalization in both except at G's output
and D's input. Q has its own hidden layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.normalization import (
    activation_norm,
    apply_spectral_norm,
    needs_bias,
    norm_layer,
)
from gan_zoo.networks.layers.shapes import square_image


class InfoGANGenerator(nn.Module):
    """Latents and codes ``[B, latent_dim]`` to images ``[B, C, S, S]`` in (-1, 1).

    Args:
        latent_dim: size of the input, latents and codes together.
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 64.
        width: channels of the last hidden layer (64 in the paper); twice as many before it.
        hidden: units of the dense layer (1024 in the paper).
    """

    def __init__(
        self, latent_dim: Count, sample_shape: Shape, width: Count = 32, hidden: Count = 512
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "generator=infogan", largest=64)
        # Dense layers to a quarter of the size, then two transposed convolutions.
        side = size // 4
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 2 * width * side**2, bias=False),
            nn.BatchNorm1d(2 * width * side**2),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (2 * width, side, side)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents)  # type: ignore[no-any-return]


class InfoGANDiscriminator(nn.Module):
    """Images ``[B, C, S, S]`` to scores ``[B]`` and Q's prediction of the codes.

    Args:
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 64.
        width: channels of the first layer (64 in the paper); twice as many in the second.
        hidden: units of the dense layer (1024 in the paper); an eighth as many in Q's own.
        norm: ``batch`` as in the paper, or ``layer``, ``spectral``, ``none``.
        aux_outputs: size of the output's ``aux``, which Q's own layer precedes; None for none.
        condition_dim, fusion: as in `Heads`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 32,
        hidden: Count = 512,
        norm: str = "batch",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "discriminator=infogan", largest=64)
        if activation_norm(norm) == "instance":
            raise ValueError(
                f"norm must be one of batch, layer, spectral, none for dense layers, got {norm!r}"
            )
        bias = needs_bias(norm)

        def active(channels: int) -> list[nn.Module]:
            return [norm_layer(norm)(channels), nn.LeakyReLU(0.1, inplace=True)]

        def dense(inputs: int, units: int) -> list[nn.Module]:
            layer = apply_spectral_norm(nn.Linear(inputs, units, bias=bias), norm)
            # Dense units are normalized as 1x1 images.
            return [
                nn.Flatten(),
                layer,
                nn.Unflatten(1, (units, 1, 1)),
                *active(units),
                nn.Flatten(),
            ]

        # Two convolutions and a dense layer.
        self.layers = nn.Sequential(
            apply_spectral_norm(nn.Conv2d(channels, width, 4, 2, 1), norm),
            nn.LeakyReLU(0.1, inplace=True),
            apply_spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=bias), norm),
            *active(2 * width),
            *dense(2 * width * (size // 4) ** 2, hidden),
        )

        # The score, and Q with its own hidden layer.
        self.heads = Heads([hidden], None, condition_dim, fusion, norm)
        units = max(hidden // 8, 1)
        self.aux = (
            None
            if aux_outputs is None
            else nn.Sequential(*dense(hidden, units), nn.Linear(units, aux_outputs))
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        h = self.layers(x)
        output: DiscriminatorOutput = self.heads(h, x, condition)
        output.aux = None if self.aux is None else self.aux(h)
        return output
