"""SpecGAN's convolutional networks of spectrograms (Donahue et al. 2019, section 3.2, appendix D).

DCGAN's with kernels of 5x5 and without normalization, from 4x4 in doublings: each layer has as many
weights as WaveGAN's with kernels of 25.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.normalization import activation_norm, apply_spectral_norm

KERNEL, SMALLEST = 5, 4


def spectrogram(sample_shape: Sequence[int], network: str) -> tuple[int, int, tuple[int, int]]:
    """The channels of spectrograms, the number k of halvings, and the sides at the small end.

    The shorter side is 4 there, so it has to be 4 * 2^k, k from 1 to 8.

    Raises:
        ValueError: naming ``network`` and what it can make, for any other shape.
    """
    if len(sample_shape) != 3:
        raise ValueError(
            f"{network} works on spectrograms [C, bins, frames], got the shape"
            f" {list(sample_shape)}: use model=specgan for sounds"
        )
    channels, bins, frames = sample_shape
    halvings = (min(bins, frames) // SMALLEST).bit_length() - 1
    factor = 2 ** max(halvings, 0)
    fits = 1 <= halvings <= 8 and min(bins, frames) == SMALLEST * factor
    if not fits or bins % factor or frames % factor:
        raise ValueError(
            f"{network} works on spectrograms whose shorter side is 8, 16, 32, ... or 1024, and the"
            f" longer one a multiple of a quarter of that, got {bins} bins and {frames} frames: set"
            " data.length, model.window and model.hop"
        )
    return channels, halvings, (bins // factor, frames // factor)


class SpecGANGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` to spectrograms ``[B, C, bins, frames]`` in (-1, 1).

    A linear layer to the small end, 4x4 for squares, then k doublings.

    Args:
        latent_dim: size of the latents.
        sample_shape: ``[C, bins, frames]``, see `spectrogram`.
        width: channels before the last layer, the paper's d of 64; they double towards the small
            end.
    """

    def __init__(self, latent_dim: Count, sample_shape: Shape, width: Count = 64) -> None:
        super().__init__()
        channels, halvings, end = spectrogram(sample_shape, "generator=specgan")
        widths = [width * 2**k for k in reversed(range(halvings))]
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, widths[0] * end[0] * end[1]),
            nn.Unflatten(1, (widths[0], *end)),
        ]
        # (S - 1) 2 - 2 * 2 + 5 + 1 = 2 S.
        for c_in, c_out in pairwise([*widths, channels]):
            up = nn.ConvTranspose2d(c_in, c_out, KERNEL, 2, padding=2, output_padding=1)
            layers += [nn.ReLU(inplace=True), up]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        spectrograms: Tensor = self.layers(latents)
        return spectrograms


class SpecGANDiscriminator(nn.Module):
    """Spectrograms ``[B, C, bins, frames]`` to a `DiscriminatorOutput` with scores ``[B]``.

    The last activations, 4x4 for squares, are its feature.

    Args:
        sample_shape: ``[C, bins, frames]``, see `spectrogram`.
        width: channels after the first layer, the paper's d of 64; they double towards the small
            end.
        norm: ``none`` as in the paper, or ``spectral``.
        aux_outputs, condition_dim, fusion: as in `Heads`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 64,
        norm: str = "none",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        channels, halvings, end = spectrogram(sample_shape, "discriminator=specgan")
        if activation_norm(norm) != "none":
            raise ValueError(f"discriminator.norm must be none or spectral, got {norm!r}")
        widths = [width * 2**k for k in range(halvings)]
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise([channels, *widths]):
            down = nn.Conv2d(c_in, c_out, KERNEL, 2, padding=2)
            layers += [apply_spectral_norm(down, norm), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.heads = Heads([widths[-1], *end], aux_outputs, condition_dim, fusion, norm)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.heads(self.layers(x), x, condition)
        return output
