"""StyleGAN2's networks.

Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN".
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Fraction, Shape
from gan_zoo.networks.layers.equalized import (
    EqualizedConv,
    EqualizedLinear,
    rms_normalize,
    scaled_leaky_relu,
)
from gan_zoo.networks.layers.heads import required
from gan_zoo.networks.layers.minibatch_statistics import MinibatchStatistic
from gan_zoo.networks.layers.modulated import ModulatedConv
from gan_zoo.networks.layers.resample import Blur, Resample
from gan_zoo.networks.layers.shapes import square_image

LARGEST = 1024
MAPPING_LR = 0.01


def stage_widths(size: int, width: int, max_width: int) -> list[int]:
    """Channels from 4x4 on: ``width`` at the full size, doubled for each half to ``max_width``."""
    return [min(max_width, width * size // side) for side in sides(size)]


def sides(size: int) -> list[int]:
    """4, 8, ..., ``size``."""
    return [4 * 2**k for k in range(size.bit_length() - 2)]


class Mapping(nn.Module):
    """Latents and a condition to styles ``[B, style_dim]``, or a condition alone.

    Both are divided by their root mean square, the condition after a linear layer, and
    concatenated; dense layers with leaky ReLU follow, whose learning rate is 0.01 of the network's.

    Args:
        latent_dim: size of the latents; 0 for none.
        condition_dim: size of the condition's vectors; None for none.
        style_dim: width of all layers.
        layers: number of dense layers.
    """

    def __init__(
        self, latent_dim: int, condition_dim: int | None, style_dim: int, layers: int
    ) -> None:
        super().__init__()
        self.embed = None if condition_dim is None else EqualizedLinear(condition_dim, style_dim)
        inputs = latent_dim + (0 if condition_dim is None else style_dim)
        sizes = [inputs, *[style_dim] * layers]
        self.layers = nn.ModuleList(
            EqualizedLinear(*pair, lr_multiplier=MAPPING_LR) for pair in pairwise(sizes)
        )

    def forward(self, latents: Tensor | None, condition: Tensor | None = None) -> Tensor:
        # Latents and conditions at the same length, so that neither dominates.
        parts = [] if latents is None else [rms_normalize(latents)]
        if self.embed is not None:
            parts.append(rms_normalize(self.embed(required(condition))))
        x = torch.cat(parts, 1)
        for layer in self.layers:
            x = scaled_leaky_relu(layer(x))
        return x


class StyledLayer(nn.Module):
    """Modulated 3x3 convolution, noise of a learned strength, bias, leaky ReLU.

    Noise is new in every training pass, from torch's global generator, which training seeds at each
    step; in evaluation it is constant, so that the same latents give the same image.

    Args:
        c_in, c_out: channels.
        style_dim: size of the style vectors.
        side: of the output.
        up: double the size.
    """

    noise: Tensor

    def __init__(self, c_in: int, c_out: int, style_dim: int, side: int, up: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(c_in, c_out, 3, style_dim, up=up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.register_buffer("noise", torch.randn(side, side))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = self.conv(x, style)
        noise = (
            torch.randn(len(y), 1, *y.shape[2:], device=y.device) if self.training else self.noise
        )
        y = y + (self.strength * noise + self.bias[:, None, None]).to(y.dtype)
        return scaled_leaky_relu(y)


class ToImage(nn.Module):
    """Modulated 1x1 convolution without demodulation to the channels of an image, and a bias."""

    def __init__(self, c_in: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(c_in, channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        image: Tensor = self.conv(x, style) + self.bias[:, None, None]
        return image


class Synthesis(nn.Module):
    """Styles ``[B, L, D]`` to images: one layer at 4x4, two at each larger size.

    Each size adds its image to the upsampled one of the size before. The image of a size and the
    first layer of the next one share a style, so there are L = 2 log2(size) - 2.
    """

    def __init__(self, size: int, channels: int, widths: list[int], style_dim: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(widths[0], 4, 4))
        layers = [StyledLayer(widths[0], widths[0], style_dim, 4, up=False)]

        # Two convolutions for each size, of which the first one doubles it.
        for side, (c_in, c_out) in zip(sides(size)[1:], pairwise(widths), strict=True):
            layers.append(StyledLayer(c_in, c_out, style_dim, side, up=True))
            layers.append(StyledLayer(c_out, c_out, style_dim, side, up=False))
        self.layers = nn.ModuleList(layers)

        # An image of each size; they are added up.
        self.images = nn.ModuleList(ToImage(width, channels, style_dim) for width in widths)
        self.up = Resample(up=True)

    def forward(self, styles: Tensor) -> Tensor:
        x = self.constant.expand(styles.shape[0], -1, -1, -1)
        # An image and the first convolution of the next size share a style.
        x = self.layers[0](x, styles[:, 0])
        image: Tensor = self.images[0](x, styles[:, 1])
        for stage, to_image in enumerate(list(self.images)[1:], 1):
            x = self.layers[2 * stage - 1](x, styles[:, 2 * stage - 1])
            x = self.layers[2 * stage](x, styles[:, 2 * stage])
            image = self.up(image) + to_image(x, styles[:, 2 * stage + 1])
        return image


class StyleGAN2Generator(nn.Module):
    """Latents ``[B, latent_dim]`` and optional conditions to unbounded images ``[B, C, S, S]``.

    There is no tanh, as in the paper. In training, two latents are mixed in a batch's images with
    probability ``mixing``: coarse layers get styles of the first, fine layers those of the second
    (Karras et al. 2019, section 3.1). The second ones are normal and do not move `mean_style`.

    Args:
        latent_dim: size of the latents (512 in the paper).
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 1024.
        width: channels at the full size; they double towards 4x4 up to ``max_width`` (32 at 1024
            pixels).
        max_width: largest number of channels (512).
        style_dim: D, size of the styles (512).
        mapping_layers: dense layers of the mapping (8).
        mixing: probability of style mixing (0.9).
        mean_decay: of the mean style, for each batch (0.995).
        condition_dim: size of the condition's vectors; None for an unconditional generator.
    """

    running_mean: Tensor

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        width: Count = 64,
        max_width: Count = 512,
        style_dim: Count = 512,
        mapping_layers: Count = 8,
        mixing: Fraction = 0.9,
        mean_decay: Fraction = 0.995,
        condition_dim: int | None = None,
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "generator=stylegan2", largest=LARGEST)
        self.mapping_network = Mapping(latent_dim, condition_dim, style_dim, mapping_layers)
        self.synthesis_network = Synthesis(
            size, channels, stage_widths(size, width, max_width), style_dim
        )
        # Two styles for each size from 4x4 on.
        self.num_styles = 2 * size.bit_length() - 4
        self.mixing = mixing
        self.mean_decay = mean_decay
        # Processes average buffers of this name.
        self.register_buffer("running_mean", torch.zeros(style_dim))

    @property
    def mean_style(self) -> Tensor:
        """The running mean of the styles of training, ``[D]``."""
        return self.running_mean

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """Styles ``[B, L, D]``, the same for each of the L inputs of the synthesis."""
        styles: Tensor = self.mapping_network(latents, condition)
        return styles[:, None].expand(-1, self.num_styles, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        """Images ``[B, C, S, S]`` of styles ``[B, L, D]``."""
        images: Tensor = self.synthesis_network(styles)
        return images

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        styles = self.mapping(latents, condition)
        if self.training:
            mean = styles[:, 0].detach().mean(0).to(self.running_mean)
            self.running_mean.lerp_(mean, 1 - self.mean_decay)
            styles = self.mix_styles(styles, latents, condition)
        return self.synthesis(styles)

    def mix_styles(self, styles: Tensor, latents: Tensor, condition: Tensor | None) -> Tensor:
        """The styles, from a random layer on perhaps those of new latents.

        The layer is the same for the batch.
        """
        if float(torch.rand(())) >= self.mixing:
            return styles
        first = int(torch.randint(1, self.num_styles, ()))
        others = self.mapping(torch.randn_like(latents), condition)
        return torch.cat([styles[:, :first], others[:, first:]], 1)


class DownBlock(nn.Module):
    """3x3, filtered 3x3 to half the size.

    Plus the halved input through a 1x1, both divided by sqrt(2).
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = EqualizedConv(c_in, c_in, 3)
        self.blur = Blur(padding=2)
        self.second = EqualizedConv(c_in, c_out, 3, stride=2)
        self.downsample = Resample(up=False)
        self.skip = EqualizedConv(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = scaled_leaky_relu(self.first(x))
        # The gains of the activation and of the sum cancel.
        y = scaled_leaky_relu(self.second(self.blur(y)), gain=1.0)
        out: Tensor = y + self.skip(self.downsample(x)) * math.sqrt(0.5)
        return out


class StyleGAN2Discriminator(nn.Module):
    """Images ``[B, C, S, S]`` to a `DiscriminatorOutput` with scores ``[B]``.

    The last 4x4 activations are its feature.

    Residual blocks down to 4x4, the standard deviation over the batch as one more channel, a 3x3
    and two dense layers. With a condition c the score is the projection f(x).m(c) / sqrt(dim) on a
    mapping of c (StyleGAN2-ADA, Karras et al. 2020b).

    Args:
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 1024.
        width, max_width: channels, as in `StyleGAN2Generator`.
        group: samples over which the standard deviation is taken (4).
        mapping_layers: dense layers of the mapping of conditions (8).
        aux_outputs: size of a second output ``[B, aux_outputs]``; None for none.
        condition_dim: size of the condition's vectors; None for an unconditional discriminator.
        fusion: ``projection``; there is no other.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 64,
        max_width: Count = 512,
        group: Count = 4,
        mapping_layers: Count = 8,
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "discriminator=stylegan2", largest=LARGEST)
        if condition_dim is not None and fusion != "projection":
            raise ValueError(
                f"discriminator=stylegan2 needs model.fusion=projection, got {fusion!r}"
            )

        # Blocks down to 4x4, the batch statistic, two layers.
        widths = list(reversed(stage_widths(size, width, max_width)))
        last = widths[-1]
        self.from_image = EqualizedConv(channels, widths[0], 1)
        self.blocks = nn.Sequential(*(DownBlock(*pair) for pair in pairwise(widths)))
        self.statistic = MinibatchStatistic("stddev", group)
        self.conv = EqualizedConv(last + 1, last, 3)
        self.dense = EqualizedLinear(last * 16, last)

        # One score, or its projection on the mapping of the condition.
        outputs = 1 if condition_dim is None else last
        self.score = EqualizedLinear(last, outputs)
        self.mapping = (
            None if condition_dim is None else Mapping(0, condition_dim, outputs, mapping_layers)
        )
        self.aux = None if aux_outputs is None else EqualizedLinear(last, aux_outputs)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        # Activations at 4x4, the batch statistic, dense layers.
        h = self.blocks(scaled_leaky_relu(self.from_image(x)))
        h = scaled_leaky_relu(self.conv(self.statistic(h)))
        y = scaled_leaky_relu(self.dense(h.flatten(1)))

        # The score, or its projection on the mapping of the condition.
        scores: Tensor = self.score(y)
        if self.mapping is not None:
            projected = scores * self.mapping(None, condition)
            scores = projected.sum(1, keepdim=True) / math.sqrt(scores.shape[1])
        return DiscriminatorOutput(
            scores.flatten(), x, None if self.aux is None else self.aux(y), features=(h,)
        )
