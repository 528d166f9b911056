"""The growing networks of PGGAN (Karras et al. 2018, "Progressive Growing of GANs").

Both have all layers from the start. How many of them are used follows from `growth`, the number of
doublings from 4x4 so far: with growth 1.3 the 8x8 images of the second size are faded in by 0.3.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.equalized import (
    EqualizedConv,
    EqualizedLinear,
    rms_normalize,
    scaled_leaky_relu,
)
from gan_zoo.networks.layers.minibatch_statistics import MinibatchStatistic
from gan_zoo.networks.layers.shapes import square_image
from gan_zoo.networks.stylegan2 import LARGEST, stage_widths


class Growing(nn.Module):
    """A network that begins with images of 4x4 pixels.

    Args:
        doublings: from 4x4 to the full size.

    Attributes:
        growth: doublings so far, from 0 to ``doublings``, a buffer. It starts at the full size, so
            that networks also work where nothing grows.
    """

    growth: Tensor

    def __init__(self, doublings: int) -> None:
        super().__init__()
        self.doublings = doublings
        self.register_buffer("growth", torch.tensor(float(doublings)))
        self._known: tuple[Tensor, int, float] | None = None

    def grow(self, growth: float) -> None:
        """Set the growth, which the host then knows without asking the device."""
        if growth != self.growth_on_host():
            self.growth.fill_(growth)
            self._known = (self.growth, self.growth._version, growth)

    def growth_on_host(self) -> float:
        """The growth, read from the device only after the buffer was changed by others."""
        known = self._known
        if known is None or known[0] is not self.growth or known[1] != self.growth._version:
            known = (self.growth, self.growth._version, float(self.growth))
            self._known = known
        return known[2]

    def stage(self) -> tuple[int, float]:
        """The number of doublings that are used, and how far the last one is faded in, in (0, 1]:
        1 if it is complete.
        """
        growth = self.growth_on_host()
        used = math.ceil(growth)
        return used, growth - used + 1


class PGGANGenerator(Growing):
    """Latents ``[B, latent_dim]`` to images ``[B, C, S, S]``, without a bound: there is no tanh.

    Latents and all activations are divided by their root mean square over channels. Smaller images
    are enlarged to the full size by nearest neighbors.

    Args:
        latent_dim: size of the latents; 512 in the paper.
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 1024.
        width: channels at the full size, doubled for each half; 16 in the paper, at 1024 pixels.
        max_width: largest number of channels; 512 in the paper.
    """

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        width: Count = 16,
        max_width: Count = 512,
    ) -> None:
        channels, size = square_image(sample_shape, "generator=pggan", largest=LARGEST)
        widths = stage_widths(size, width, max_width)
        super().__init__(len(widths) - 1)
        self.size = size

        # Latents to maps of 4x4 pixels.
        self.dense = EqualizedLinear(latent_dim, 16 * widths[0])
        self.conv = EqualizedConv(widths[0], widths[0], 3)
        self.blocks = nn.ModuleList(UpBlock(*pair) for pair in pairwise(widths))
        # Every size can be the last one while the network grows.
        self.to_image = nn.ModuleList(EqualizedConv(c_in, channels, 1) for c_in in widths)

    def forward(self, latents: Tensor) -> Tensor:
        # From 4x4 to the size that is reached.
        used, faded_in = self.stage()
        y = self.dense(rms_normalize(latents)).unflatten(1, (-1, 4, 4))
        y = rms_normalize(scaled_leaky_relu(y))
        y = rms_normalize(scaled_leaky_relu(self.conv(y)))
        before = y
        for block in self.blocks[:used]:
            before = y
            y = block(y)
        images: Tensor = self.to_image[used](y)

        # A new size is mixed with the enlarged images of the size before.
        if faded_in < 1:
            smaller = interpolate(self.to_image[used - 1](before), scale_factor=2.0)
            images = torch.lerp(smaller, images, faded_in)
        return interpolate(images, (self.size, self.size))


class UpBlock(nn.Module):
    """Doubled size, two 3x3 convolutions.

    Args:
        c_in, c_out: channels.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = EqualizedConv(c_in, c_out, 3)
        self.second = EqualizedConv(c_out, c_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = rms_normalize(scaled_leaky_relu(self.first(interpolate(x, scale_factor=2.0))))
        return rms_normalize(scaled_leaky_relu(self.second(y)))


class PGGANDiscriminator(Growing):
    """Images ``[B, C, S, S]`` to a `DiscriminatorOutput` with scores ``[B]``.

    Images are averaged down to the size that is reached.

    Args:
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 1024.
        width, max_width: as in `PGGANGenerator`.
        group: samples over which the standard deviation is taken.
        aux_outputs: size of a second output ``[B, aux_outputs]``; None for none.
        condition_dim, fusion: must be None; ``fusion`` is ignored.

    Raises:
        ValueError: for conditions.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 16,
        max_width: Count = 512,
        group: Count = 4,
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str | None = None,
    ) -> None:
        channels, size = square_image(sample_shape, "discriminator=pggan", largest=LARGEST)
        if condition_dim is not None:
            raise ValueError(
                "discriminator=pggan scores images without a condition: choose model=acgan, or"
                " another discriminator="
            )
        widths = stage_widths(size, width, max_width)
        super().__init__(len(widths) - 1)
        self.size = size
        self.from_image = nn.ModuleList(EqualizedConv(channels, c_out, 1) for c_out in widths)
        # Block k halves the size of doubling k + 1.
        self.blocks = nn.ModuleList(DownBlock(c_in, c_out) for c_out, c_in in pairwise(widths))
        self.statistic = MinibatchStatistic("stddev", group)
        self.conv = EqualizedConv(widths[0] + 1, widths[0], 3)
        self.dense = EqualizedLinear(16 * widths[0], widths[0])
        self.score = EqualizedLinear(widths[0], 1)
        self.aux = None if aux_outputs is None else EqualizedLinear(widths[0], aux_outputs)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        used, faded_in = self.stage()
        images = avg_pool2d(x, self.size // (4 * 2**used))
        y = scaled_leaky_relu(self.from_image[used](images))
        for number in reversed(range(used)):
            y = self.blocks[number](y)

            # A new size is mixed with what the size before makes of halved images.
            if number == used - 1 and faded_in < 1:
                halved = self.from_image[number](avg_pool2d(images, 2))
                y = torch.lerp(scaled_leaky_relu(halved), y, faded_in)

        y = scaled_leaky_relu(self.conv(self.statistic(y)))
        h = scaled_leaky_relu(self.dense(y.flatten(1)))
        aux = None if self.aux is None else self.aux(h)
        return DiscriminatorOutput(self.score(h)[:, 0], x, aux, features=(y,))


class DownBlock(nn.Module):
    """Two 3x3 convolutions, half the size by averages.

    Args:
        c_in, c_out: channels.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = EqualizedConv(c_in, c_in, 3)
        self.second = EqualizedConv(c_in, c_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = scaled_leaky_relu(self.first(x))
        return avg_pool2d(scaled_leaky_relu(self.second(y)), 2)
