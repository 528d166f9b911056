"""Residual networks.

The networks of WGAN-GP (Gulrajani et al. 2017, appendix) and SNGAN (Miyato et al. 2018, tables 3
and 4), for any power of two; with an attention block they are SAGAN's (Zhang et al. 2019).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.attention import SelfAttention
from gan_zoo.networks.layers.conditional_norm import ConditionalSequential, ConditionInput
from gan_zoo.networks.layers.heads import Heads, run_layers
from gan_zoo.networks.layers.minibatch_statistics import MinibatchStatistic
from gan_zoo.networks.layers.normalization import apply_spectral_norm, norm_layer
from gan_zoo.networks.layers.shapes import rectangular_image


def _conv(c_in: int, c_out: int, kernel: int, norm: str, gain: float = 2**0.5) -> nn.Module:
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(conv.weight, gain)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return apply_spectral_norm(conv, norm)


class UpBlock(nn.Module):
    """Norm, ReLU, double the size, 3x3, norm, ReLU, 3x3; plus the doubled input through a 1x1.

    Args:
        c_in, c_out: channels.
        condition: the normalizations, which may take a condition.
    """

    def __init__(self, c_in: int, c_out: int, condition: ConditionInput) -> None:
        super().__init__()
        norm = condition.norm
        self.conditional = condition.in_norm
        self.before = condition.layer(c_in)
        self.between = condition.layer(c_out)
        self.first = _conv(c_in, c_out, 3, norm)
        self.second = _conv(c_out, c_out, 3, norm)
        # The skip connection has no activation after it, hence a gain of 1.
        self.skip = _conv(c_in, c_out, 1, norm, gain=1.0)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        given = (condition,) if self.conditional else ()
        y = self.first(interpolate(relu(self.before(x, *given)), scale_factor=2.0))
        y = self.second(relu(self.between(y, *given)))
        # A 1x1 and nearest-neighbor doubling commute: the cheap order.
        out: Tensor = y + interpolate(self.skip(x), scale_factor=2.0)
        return out


class DownBlock(nn.Module):
    """Norm, ReLU, 3x3, norm, ReLU, 3x3, half the size; plus the halved input through a 1x1.

    Args:
        c_in, c_out: channels.
        norm: normalization by name.
        down: whether to halve the size.
        first: the block that sees images begins without norm and ReLU.
    """

    def __init__(
        self, c_in: int, c_out: int, norm: str, down: bool = True, first: bool = False
    ) -> None:
        super().__init__()
        # The block that sees the image has no normalization.
        make_norm = norm_layer("none" if first else norm)
        self.is_first = first
        self.down = down
        self.before = make_norm(c_in)
        self.between = make_norm(c_out)
        self.first = _conv(c_in, c_out, 3, norm)
        self.second = _conv(c_out, c_out, 3, norm)
        self.skip = (
            _conv(c_in, c_out, 1, norm, gain=1.0) if down or c_in != c_out else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x if self.is_first else relu(self.before(x)))
        y = self.second(relu(self.between(y)))
        if self.down:
            y, x = avg_pool2d(y, 2), avg_pool2d(x, 2)
        out: Tensor = y + self.skip(x)
        return out


class ResNetGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` to images ``[B, C, H, W]`` in (-1, 1).

    Args:
        latent_dim: size of the latents.
        sample_shape: ``[C, H, W]`` with sides as in `rectangular_image`.
        width: channels of every block (256 in SNGAN's 32-pixel network).
        norm: ``batch`` as in SNGAN, ``spectral+batch`` as in SAGAN, or as in `ConditionInput`.
        attention: the height in pixels at which positions attend to each other; None for no
            attention.
        condition_dim: size of the condition's vectors; None for an unconditional generator.
    """

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        width: Count = 128,
        norm: str = "batch",
        attention: Count | None = None,
        condition_dim: int | None = None,
    ) -> None:
        super().__init__()
        channels, halvings, end = rectangular_image(sample_shape, "generator=resnet")

        # The condition enters at every normalization, or next to the latents.
        self.condition = ConditionInput(norm, condition_dim)
        heights = [end[0] * 2**k for k in range(1, halvings + 1)]
        sizes = check_attention(heights, attention)
        inputs = latent_dim + self.condition.extra_inputs
        self.start = apply_spectral_norm(nn.Linear(inputs, end[0] * end[1] * width), norm)

        # Blocks that double the size, attention after the block of its size.
        blocks: list[nn.Module] = []
        for after in sizes:
            blocks += [UpBlock(width, width, self.condition)]
            blocks += [SelfAttention(width, norm)] if after == attention else []
        last = [
            self.condition.layer(width),
            nn.ReLU(inplace=True),
            _conv(width, channels, 3, norm, gain=1.0),
            nn.Tanh(),
        ]
        self.layers = ConditionalSequential(nn.Unflatten(1, (width, *end)), *blocks, *last)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        start = self.start(self.condition.first_inputs(latents, condition))
        images: Tensor = self.layers(start, condition)
        return images


class ResNetDiscriminator(nn.Module):
    """Images ``[B, C, H, W]`` to scores ``[B]``: blocks, ReLU, sum over positions.

    Args:
        sample_shape: ``[C, H, W]`` with sides as in `rectangular_image`.
        width: channels of every block (128 in SNGAN's 32-pixel network).
        norm: ``spectral`` as in SNGAN and SAGAN, or another name of `norm_layer`.
        attention: the height in pixels at which positions see each other; None for no attention.
        minibatch: ``none``, or a `MinibatchStatistic` of the last activations: ``stddev`` or
            ``difference``.
        aux_outputs, condition_dim, fusion: as in `Heads`.
    """

    keep_local: bool = False

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 128,
        norm: str = "spectral",
        attention: Count | None = None,
        minibatch: str = "none",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        # Blocks down to 8x8 of 64x64, attention after the block of its size, two blocks more.
        channels, halvings, end = rectangular_image(sample_shape, "discriminator=resnet")
        # The height after each halving, the last is 8.
        sizes = [end[0] * 2**k for k in range(halvings - 1, 0, -1)]
        sizes = check_attention(sizes or [2 * end[0]], attention)
        down = halvings > 1
        blocks: list[nn.Module] = [DownBlock(channels, width, norm, down=down, first=True)]
        for k, now in enumerate(sizes):
            blocks += [DownBlock(width, width, norm)] if k > 0 else []
            blocks += [SelfAttention(width, norm)] if now == attention else []
        blocks += [DownBlock(width, width, norm, down=False) for _ in range(2)]
        self.layers = nn.Sequential(*blocks, nn.ReLU())
        # Up to the last block.
        self.num_local_layers = len(blocks) - 1

        # Scores from the sum over positions.
        self.minibatch = nn.Identity() if minibatch == "none" else MinibatchStatistic(minibatch)
        self.heads = Heads(
            [width + (minibatch != "none")], aux_outputs, condition_dim, fusion, norm
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        h, local = run_layers(self.layers, x, self.num_local_layers if self.keep_local else None)
        summed = self.minibatch(h).sum((2, 3))
        output: DiscriminatorOutput = self.heads(summed, x, condition)
        return replace(output, local=local)


def check_attention(sizes: list[int], attention: int | None) -> list[int]:
    """``sizes``, if attention is at one of them or nowhere."""
    if attention is not None and attention not in sizes:
        raise ValueError(
            f"attention must be null or one of the sizes {', '.join(map(str, sizes))}, got"
            f" {attention}"
        )
    return sizes
