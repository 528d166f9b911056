"""StarGAN v2's translator: residual blocks whose second half takes a style."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from gan_zoo.core.types import Count, Shape
from gan_zoo.networks.layers.adaptive_norm import AdaptiveInstanceNorm
from gan_zoo.networks.layers.normalization import norm_layer
from gan_zoo.networks.translation.content_style import he_init
from gan_zoo.networks.translation.image_to_image import check_shapes

SLOPE = 0.2
HALF_POWER = 1 / math.sqrt(2)
"""Keeps the variance of a sum of two parts."""


class PreactivationBlock(nn.Module):
    """(x + f(x)) / sqrt(2), f twice norm, LeakyReLU and 3x3; half the size between the two if
    ``down``.

    Args:
        c_in, c_out: channels; the first convolution keeps them, the second one changes them.
        norm: ``instance`` or ``none``.
        down: whether to halve the size, by averages of 2x2.
    """

    def __init__(self, c_in: Count, c_out: Count, norm: str, down: bool = False) -> None:
        super().__init__()
        self.down = down
        self.before, self.between = norm_layer(norm)(c_in), norm_layer(norm)(c_in)
        self.first = nn.Conv2d(c_in, c_in, 3, padding=1)
        self.second = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.skip = changed_channels(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(leaky_relu(self.before(x), SLOPE))
        if self.down:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        y = self.second(leaky_relu(self.between(y), SLOPE))
        out: Tensor = (self.skip(x) + y) * HALF_POWER
        return out


class AdaptiveBlock(nn.Module):
    """(x + f(x, s)) / sqrt(2), f twice AdaIN, LeakyReLU and 3x3; first twice the size if ``up``.

    Args:
        c_in, c_out: channels; the first convolution changes them.
        style_dim: size of the styles ``[B, style_dim]``.
        up: whether to double the size, by nearest neighbors.
    """

    def __init__(self, c_in: Count, c_out: Count, style_dim: Count, up: bool = False) -> None:
        super().__init__()
        self.scale = 2.0 if up else 1.0
        # The style enters at both normalizations.
        self.before = AdaptiveInstanceNorm(c_in, style_dim)
        self.between = AdaptiveInstanceNorm(c_out, style_dim)
        self.first = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.second = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.skip = changed_channels(c_in, c_out)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = self.first(self.resized(leaky_relu(self.before(x, style), SLOPE)))
        y = self.second(leaky_relu(self.between(y, style), SLOPE))
        # A 1x1 and nearest-neighbor doubling commute: the cheap order.
        out: Tensor = (self.resized(self.skip(x)) + y) * HALF_POWER
        return out

    def resized(self, x: Tensor) -> Tensor:
        """``x`` at the size of the output."""
        return x if self.scale == 1 else interpolate(x, scale_factor=self.scale)


class AdaptiveTranslator(nn.Module):
    """StarGAN v2's generator (Choi et al. 2020, section 2.1 and appendix).

    Halvings and blocks with instance normalization, blocks and doublings with AdaIN. Maps images
    ``[B, C_in, H, W]`` and styles ``[B, latent_dim]`` to ``[B, C_out, H, W]``; the last layer is
    linear, values outside of [-1, 1] are possible. The high-pass filter, with which the authors
    keep faces, is left out: it takes heatmaps of another pretrained network.

    Args:
        in_shape, out_shape: ``[C, H, W]``; 2^halvings divides H and W, at least twice.
        latent_dim: size of the styles.
        width: channels after the first layer; they double up to ``max_width`` (64 at 256 pixels).
        max_width: 512 in the paper.
        halvings: 4 at 256 pixels in the paper.
        blocks: blocks of each half at the smallest size (2 in the paper).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        latent_dim: Count,
        width: Count = 64,
        max_width: Count = 512,
        halvings: Count = 4,
        blocks: Count = 2,
    ) -> None:
        super().__init__()
        if min(width, max_width, halvings, blocks) < 1:
            raise ValueError(
                "width, max_width, halvings and blocks must be >= 1, got"
                f" {width}, {max_width}, {halvings} and {blocks}"
            )
        self.multiple = 2**halvings
        c_in, c_out = check_shapes(
            in_shape,
            out_shape,
            "generator=adaptive_translator",
            self.multiple,
            "instance",
            smallest=2,
        )
        widths = doubled_widths(width, max_width, halvings)
        last = widths[-1]

        # The half that sees images, and the half that sees styles.
        self.first = nn.Conv2d(c_in, widths[0], 3, padding=1)
        steps = list(pairwise(widths))
        encoder = [PreactivationBlock(a, b, "instance", down=True) for a, b in steps]
        encoder += [PreactivationBlock(last, last, "instance") for _ in range(blocks)]
        decoder = [AdaptiveBlock(last, last, latent_dim) for _ in range(blocks)]
        decoder += [AdaptiveBlock(b, a, latent_dim, up=True) for a, b in reversed(steps)]
        self.encoder = nn.Sequential(*encoder)
        self.decoder = nn.ModuleList(decoder)
        self.last = nn.Sequential(
            norm_layer("instance")(widths[0]),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(widths[0], c_out, 1),
        )
        self.apply(he_init)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        codes = self.encoder(self.first(x))
        for block in self.decoder:
            codes = block(codes, latents)
        images: Tensor = self.last(codes)
        return images


def doubled_widths(width: int, max_width: int, halvings: int) -> list[int]:
    """Channels before and after each halving."""
    return [min(width * 2**k, max_width) for k in range(halvings + 1)]


def changed_channels(c_in: int, c_out: int) -> nn.Module:
    """A 1x1 without bias, or nothing where the channels stay."""
    return nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1, bias=False)
