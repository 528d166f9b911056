"""The generator of FastGAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import glu, interpolate, normalize

from gan_zoo.core.types import Count, Shape
from gan_zoo.networks.layers.normalization import apply_spectral_norm
from gan_zoo.networks.layers.shapes import square_image

MULTIPLES = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5}
"""Channels at each size in pixels, in units of ``width``."""

EXCITED_BY = {64: 4, 128: 8, 256: 16}
"""For each size the smaller one whose activations gate its channels."""


class FastGANGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` to images ``[B, C, S, S]`` in (-1, 1).

    Liu et al. 2021, section 3.1: nearest-neighbor doubling, spectrally normalized 3x3 convolutions
    with batch normalization and gated linear units, noise, and skip-layer excitation: activations
    of 4, 8 and 16 pixels gate the channels of those of 64, 128 and 256. Latents are divided by
    their root mean square, as in Projected GAN (Sauer et al. 2021), whose generator this is.

    Args:
        latent_dim: size of the latents; 256 in the papers.
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 256.
        width: unit of the channels; 128 in Projected GAN.
        lite: one convolution for each size instead of two, and no noise.
    """

    def __init__(
        self, latent_dim: Count, sample_shape: Shape, width: Count = 128, lite: bool = False
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "generator=fastgan")
        widths = {side: max(1, int(unit * width)) for side, unit in MULTIPLES.items()}
        self.latent_dim = latent_dim

        # 4x4 from the latents, then double the size.
        start = nn.ConvTranspose2d(latent_dim, 2 * widths[4], 4, bias=False)
        self.start = nn.Sequential(
            apply_spectral_norm(start, "spectral"), nn.BatchNorm2d(2 * widths[4]), nn.GLU(1)
        )
        self.sizes = [2**k for k in range(3, size.bit_length())]
        self.blocks = nn.ModuleDict()
        self.excitations = nn.ModuleDict()
        for side in self.sizes:
            c_in, c_out = widths[side // 2], widths[side]
            steps = [DoublingStep(c_in, c_out, doubles=True, noisy=not lite)]
            steps += [] if lite else [DoublingStep(c_out, c_out, doubles=False, noisy=True)]
            self.blocks[str(side)] = nn.Sequential(*steps)
            if side in EXCITED_BY:
                self.excitations[str(side)] = SkipLayerExcitation(widths[EXCITED_BY[side]], c_out)
        self.end = conv3x3(widths[size], channels, bias=True)

    def forward(self, latents: Tensor) -> Tensor:
        # As long as the latents of a normal prior are on average.
        scaled = normalize(latents, dim=1) * self.latent_dim**0.5
        x = self.start(scaled[:, :, None, None])
        seen = {4: x}

        # A map is kept until the one that it gates is reached.
        for side in self.sizes:
            x = self.blocks[str(side)](x)
            if side in EXCITED_BY:
                x = x * self.excitations[str(side)](seen[EXCITED_BY[side]])
            seen[side] = x
        images: Tensor = self.end(x).tanh()
        return images


class DoublingStep(nn.Module):
    """Double the size, 3x3, noise, batch norm, gated linear unit.

    Args:
        c_in, c_out: channels.
        doubles: whether the size is doubled.
        noisy: whether there is noise, in training.
    """

    def __init__(self, c_in: int, c_out: int, doubles: bool, noisy: bool) -> None:
        super().__init__()
        self.doubles = doubles
        self.conv = conv3x3(c_in, 2 * c_out)
        self.norm = nn.BatchNorm2d(2 * c_out)
        # The strength of the noise is learned, from none.
        self.strength = nn.Parameter(torch.zeros(())) if noisy else None

    def forward(self, x: Tensor) -> Tensor:
        x = interpolate(x, scale_factor=2.0) if self.doubles else x
        x = self.conv(x)
        if self.strength is not None and self.training:
            noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
            x = x + self.strength * noise
        return glu(self.norm(x), 1)


class SkipLayerExcitation(nn.Module):
    """Gates in (0, 1) for the channels of a large map, from a small one (section 3.1, eq. 1).

    Args:
        c_small, c_large: channels of both.
    """

    def __init__(self, c_small: int, c_large: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            apply_spectral_norm(nn.Conv2d(c_small, c_large, 4, bias=False), "spectral"),
            nn.SiLU(),
            apply_spectral_norm(nn.Conv2d(c_large, c_large, 1, bias=False), "spectral"),
            nn.Sigmoid(),
        )

    def forward(self, small: Tensor) -> Tensor:
        gates: Tensor = self.layers(small)
        return gates


def conv3x3(c_in: int, c_out: int, bias: bool = False) -> nn.Module:
    """A spectrally normalized 3x3 convolution that keeps the size."""
    return apply_spectral_norm(nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias), "spectral")
