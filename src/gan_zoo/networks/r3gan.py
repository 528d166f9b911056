"""R3GAN's residual networks, with grouped convolutions and no normalization (Huang et al. 2024)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.resample import Resample
from gan_zoo.networks.layers.shapes import square_image

SLOPE = 0.2


class BiasedLeakyReLU(nn.Module):
    """LeakyReLU(x + b), b learned for each channel and zero at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.bias, SLOPE)


def conv(c_in: int, c_out: int, kernel: int = 1, groups: int = 1, gain: float = 1.0) -> nn.Conv2d:
    """A convolution without bias, its weights from N(0, gain^2 / fan_in)."""
    layer = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups, bias=False)
    fan_in = c_in // groups * kernel**2
    nn.init.normal_(layer.weight, 0, gain / math.sqrt(fan_in))
    return layer


class ResidualBlock(nn.Module):
    """x + 1x1(act(3x3 grouped(act(1x1(x))))).

    The last weights start at zero, so that the block begins as the identity.

    Args:
        width: channels in and out; a multiple of 8. The middle is twice as wide, 16 channels a
            group.
        blocks: L, residual blocks of the complete network: the first two gains are sqrt(2 / (1 +
            0.2^2)) L^(-1/4).
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        # The gain of leaky ReLU, smaller in deeper networks.
        gain = math.sqrt(2 / (1 + SLOPE**2)) * blocks**-0.25
        self.layers = nn.Sequential(
            conv(width, 2 * width, gain=gain),
            BiasedLeakyReLU(2 * width),
            conv(2 * width, 2 * width, 3, groups=width // 8, gain=gain),
            BiasedLeakyReLU(2 * width),
            conv(2 * width, width, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


def stage_widths(image_size: int, width: int) -> list[int]:
    """Channels from 4x4 on: ``width`` up to 32 pixels, then halved for each size; in eights."""
    sizes = [4 * 2**k for k in range(image_size.bit_length() - 2)]
    return [max(16, width * 32 // max(32, size) // 8 * 8) for size in sizes]


def _check(width: int) -> None:
    if width < 16 or width % 16:
        raise ValueError(f"width must be a multiple of 16, got {width}")


class R3GANGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` to images ``[B, C, S, S]``, without a bound: there is no tanh.

    A learned 4x4 basis is weighted by a linear map of the latents; stages of two residual blocks
    follow, between them a 1x1 to the next width and the resampling.

    Args:
        latent_dim: size of the latents (64 in the paper).
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 256.
        width: channels up to 32 pixels, a multiple of 16 (768 in the paper's CIFAR-10 network).
    """

    def __init__(self, latent_dim: Count, sample_shape: Shape, width: Count = 128) -> None:
        super().__init__()
        _check(width)
        channels, size = square_image(sample_shape, "generator=r3gan")
        widths = stage_widths(size, width)
        blocks = 2 * len(widths)

        # Latents weight the channels of a learned 4x4 basis.
        self.weights = nn.Linear(latent_dim, widths[0], bias=False)
        nn.init.normal_(self.weights.weight, 0, latent_dim**-0.5)
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))

        # Two blocks for each size.
        layers: list[nn.Module] = [ResidualBlock(widths[0], blocks) for _ in range(2)]
        for before, after in pairwise(widths):
            layers += [conv(before, after)] if before != after else []
            layers += [Resample(up=True), *(ResidualBlock(after, blocks) for _ in range(2))]
        self.layers = nn.Sequential(*layers, conv(widths[-1], channels))

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(self.weights(latents)[:, :, None, None] * self.basis)
        return images


class R3GANDiscriminator(nn.Module):
    """Images ``[B, C, S, S]`` to scores ``[B]``: the generator mirrored.

    Ends in a depthwise 4x4 convolution, which leaves one number a channel.

    Args:
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 256.
        width: channels up to 32 pixels, a multiple of 16.
        aux_outputs, condition_dim, fusion: as in `Heads`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 128,
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        _check(width)
        channels, size = square_image(sample_shape, "discriminator=r3gan")
        # The generator mirrored: blocks, then the next width and half the size.
        widths = list(reversed(stage_widths(size, width)))
        blocks = 2 * len(widths)
        layers: list[nn.Module] = [
            conv(channels, widths[0]),
            *(ResidualBlock(widths[0], blocks) for _ in range(2)),
        ]
        for before, after in pairwise(widths):
            layers += [Resample(up=False), *([conv(before, after)] if before != after else [])]
            layers += [ResidualBlock(after, blocks) for _ in range(2)]

        # A depthwise convolution of the 4x4 activations, then the score.
        last = widths[-1]
        pool = nn.Conv2d(last, last, 4, groups=last, bias=False)
        nn.init.normal_(pool.weight, 0, 1 / 4)
        self.layers = nn.Sequential(*layers, pool, nn.Flatten())
        self.heads = Heads([last], aux_outputs, condition_dim, fusion)
        nn.init.normal_(self.heads.score.weight, 0, last**-0.5)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.heads(self.layers(x), x, condition)
        return output
