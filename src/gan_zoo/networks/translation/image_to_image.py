"""Generators that map images to images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Count, Shape, Share
from gan_zoo.networks.dcgan import dcgan_init
from gan_zoo.networks.layers.normalization import norm_layer

UPSAMPLING = ("transposed", "resize")


def check_shapes(
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    network: str,
    factor: int,
    norm: str,
    smallest: int = 1,
) -> tuple[int, int]:
    """Channels in and out of images of one size that ``factor`` divides, >= ``smallest`` times.

    There is no spectral normalization here: weights are left as they are.
    """
    # A translator keeps the size, which skip connections and cycles rely on.
    if len(in_shape) != 3 or len(out_shape) != 3 or list(in_shape[1:]) != list(out_shape[1:]):
        raise ValueError(
            f"{network} maps images to images of the same size, got {list(in_shape)} to"
            f" {list(out_shape)}"
        )
    if any(side % factor for side in in_shape[1:]):
        raise ValueError(
            f"{network} needs sides divisible by {factor}, got {list(in_shape[1:])}: set"
            " data.image_size"
        )
    if min(in_shape[1:]) < smallest * factor:
        raise ValueError(
            f"{network} needs at least {smallest * factor} pixels, got {list(in_shape[1:])}: set"
            " data.image_size"
        )
    if norm.startswith("spectral"):
        raise ValueError(
            "norm must be one of batch, instance, layer, none for an image-to-image generator, got"
            f" {norm!r}"
        )
    return in_shape[0], out_shape[0]


def upsample_layers(c_in: int, c_out: int, upsample: str, kernel: Count = 3) -> list[nn.Module]:
    """Layers that double the size.

    ``transposed`` convolutions overlap unevenly and can leave a checkerboard; ``resize``,
    nearest-neighbor doubling and a plain convolution, cannot (Odena et al. 2016).
    """
    if upsample not in UPSAMPLING:
        raise ValueError(f"upsample must be one of {', '.join(UPSAMPLING)}, got {upsample!r}")
    if upsample == "resize":
        return [
            nn.Upsample(scale_factor=2),
            nn.Conv2d(c_in, c_out, 3, padding=1, padding_mode="reflect"),
        ]
    # An odd kernel needs one more row and column to double the size exactly.
    odd = kernel % 2
    return [nn.ConvTranspose2d(c_in, c_out, kernel, 2, 1, output_padding=odd)]


def further_doublings(in_shape: Sequence[int], out_shape: Sequence[int]) -> int:
    """How often the output doubles the size of the input.

    0 unless it is 2, 4, 8, ... times as large.
    """
    if len(in_shape) != 3 or len(out_shape) != 3:
        return 0
    ratio = out_shape[1] // in_shape[1]
    is_power = ratio > 1 and ratio & (ratio - 1) == 0
    is_exact = [side * ratio for side in in_shape[1:]] == list(out_shape[1:])
    return ratio.bit_length() - 1 if is_power and is_exact else 0


class TranslatorBlock(nn.Module):
    """x + two 3x3 convolutions with reflected borders and normalization."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()

        def conv() -> nn.Module:
            return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")

        self.layers = nn.Sequential(
            conv(),
            norm_layer(norm)(channels),
            nn.ReLU(inplace=True),
            conv(),
            norm_layer(norm)(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


class ResNetTranslator(nn.Module):
    """CycleGAN's generator: halvings, residual blocks, doublings.

    Zhu et al. 2017, appendix; Johnson et al. 2016.

    Maps ``[B, C_in, H, W]`` to ``[B, C_out, H, W]`` in (-1, 1), or to 2, 4, 8, ... times the size
    by further doublings.

    Args:
        in_shape, out_shape: ``[C, H, W]``; H and W are divisible by 2^halvings, and at least twice
            that.
        width: channels after the first layer (64 in the paper); each halving doubles them.
        halvings: of the size before the residual blocks (2 in the paper, at 128 and 256 pixels).
        blocks: residual blocks in the middle (6 at 128 pixels, 9 from 256 on, in the paper).
        norm: ``instance`` as in the paper, or ``layer``, ``batch``, ``none``.
        upsample: ``transposed`` as in the paper, or ``resize``, which leaves no checkerboard.
        kernel: of the first and the last convolution, odd (7 in the paper).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 64,
        blocks: Count = 6,
        norm: str = "instance",
        upsample: str = "transposed",
        kernel: Count = 7,
        halvings: Count = 2,
    ) -> None:
        super().__init__()
        # The doublings of super-resolution come after a translation at the input's size.
        further = further_doublings(in_shape, out_shape)
        smaller = [*out_shape[:1], *(side // 2**further for side in out_shape[1:])]
        c_in, c_out = check_shapes(
            in_shape, smaller, "generator=resnet_translator", 2**halvings, norm, smallest=2
        )
        if blocks < 1:
            raise ValueError(f"blocks must be >= 1, got {blocks}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that the size stays as it is, got {kernel}")

        def same_conv(a: int, b: int) -> nn.Module:
            return nn.Conv2d(a, b, kernel, padding=kernel // 2, padding_mode="reflect")

        def norm_relu(channels: int) -> list[nn.Module]:
            return [norm_layer(norm)(channels), nn.ReLU(inplace=True)]

        # Halvings, residual blocks, doublings, and those of super-resolution.
        widths = [width * 2**k for k in range(halvings + 1)]
        layers: list[nn.Module] = [same_conv(c_in, width), *norm_relu(width)]
        for wide, wider in pairwise(widths):
            layers += [nn.Conv2d(wide, wider, 3, 2, 1), *norm_relu(wider)]
        layers += [TranslatorBlock(widths[-1], norm) for _ in range(blocks)]
        for wider, wide in pairwise(reversed(widths)):
            layers += [*upsample_layers(wider, wide, upsample), *norm_relu(wide)]
        for _ in range(further):
            layers += [*upsample_layers(width, width, upsample), *norm_relu(width)]
        self.layers = nn.Sequential(*layers, same_conv(width, c_out), nn.Tanh())
        self.multiple = 2**halvings
        self.num_halvings = halvings
        self.stage_widths = [c_in, *widths[1:], *[widths[-1]] * blocks]
        self.apply(dcgan_init)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y

    def activations(self, x: Tensor, stages: Sequence[int]) -> list[Tensor]:
        """Activations ``[B, C, H, W]`` after each of ``stages``, in rising order: 0 for the image,
        then a stage for each halving convolution and for each residual block.

        Layers behind the last of them are not run.
        """
        # How many layers there are up to the end of each stage.
        halvings = self.num_halvings
        blocks = len(self.stage_widths) - 1 - halvings
        ends = [0, *(4 + 3 * k for k in range(halvings))]
        ends += [4 + 3 * halvings + block for block in range(blocks)]
        kept: list[Tensor] = []
        done = 0
        for stage in sorted(stages):
            x = self.layers[done : ends[stage]](x)
            done = ends[stage]
            kept.append(x)
        return kept


class LastingDropout(nn.Module):
    """Dropout that is also active in evaluation mode, as the only noise of the generator.

    Args:
        p: fraction of activations that become zero.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.p, training=True)


class _UNetLevel(nn.Module):
    """One level of the U: downsample, inner levels, upsample.

    The input is concatenated to the output.
    """

    def __init__(self, down: nn.Module, below: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.down = down
        self.below = below
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.up(self.below(self.down(x)))], 1)


def unet_depth(in_shape: Shape, depth: int | None) -> int:
    """``depth``, by default the number of halvings that lead to about 2x2 pixels, at least 2.

    Raises:
        ValueError: for less than 1.
    """
    if depth is None:
        return max(2, in_shape[-1].bit_length() - 2)
    if depth < 1:
        raise ValueError(f"depth must be >= 1 or null, got {depth}")
    return depth


class UNetTranslator(nn.Module):
    """pix2pix's generator: an encoder-decoder with skip connections (Isola et al. 2017).

    Maps ``[B, C_in, S, S]`` to ``[B, C_out, S, S]`` in (-1, 1). The image is halved down to 2x2.
    Dropout in the decoder's inner layers is the only noise, and only while training unless
    ``paper_test_time`` is set.

    Args:
        in_shape, out_shape: ``[C, S, S]``, S a multiple of 2^depth.
        width: channels after the first layer (64 in the paper); they double up to 8 times that.
        depth: halvings; None for as many as lead to 2x2.
        norm: ``batch`` as in the paper, or ``instance``, ``layer``, ``none``.
        dropout: of the up to three inner layers of the decoder (0.5 in the paper).
        upsample: ``transposed`` as in the paper, or ``resize``, which leaves no checkerboard.
        paper_test_time: whether samples are made as in section 3.3 of the paper, with dropout on
            and batch norm by the statistics of the current batch. A sample then depends on the
            others of its batch, and on random numbers. Otherwise dropout is off and batch norm has
            the running statistics of training.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 64,
        depth: Count | None = None,
        norm: str = "batch",
        dropout: Share = 0.5,
        upsample: str = "transposed",
        paper_test_time: bool = False,
    ) -> None:
        super().__init__()
        # By default the innermost level is left with about 2x2 pixels.
        depth = unet_depth(in_shape, depth)
        c_in, c_out = check_shapes(in_shape, out_shape, "generator=unet", 2**depth, norm)
        self.multiple = 2**depth
        widths = [width * min(2**k, 8) for k in range(depth)]

        # At test time, the paper keeps dropout and the statistics of the batch.
        normalize = norm_layer(norm)
        drop: type[nn.Module] = LastingDropout if paper_test_time else nn.Dropout
        if paper_test_time:
            normalize = (
                partial(nn.BatchNorm2d, track_running_stats=False) if norm == "batch" else normalize
            )

        # Levels from the innermost outwards.
        below: nn.Module = nn.Identity()
        inside = widths[-1]  # channels that come out of `below`
        for level in reversed(range(1, depth)):
            outer, inner = widths[level - 1], widths[level]
            bottom = level == depth - 1
            down = [
                nn.LeakyReLU(0.2),
                nn.Conv2d(outer, inner, 4, 2, 1),
                nn.Identity() if bottom else normalize(inner),
            ]
            up = [nn.ReLU(), *upsample_layers(inside, outer, upsample, kernel=4), normalize(outer)]
            # Dropout in the three innermost levels, but not in level 1.
            up += [drop(dropout)] if depth - level <= 3 and level > 1 else []
            below = _UNetLevel(nn.Sequential(*down), below, nn.Sequential(*up))
            inside = 2 * outer

        # The outermost level has no skip connection.
        first = nn.Conv2d(c_in, width, 4, 2, 1)
        last = upsample_layers(inside, c_out, upsample, kernel=4)
        self.layers = nn.Sequential(first, below, nn.ReLU(), *last, nn.Tanh())
        self.apply(dcgan_init)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y
