"""The networks of BigGAN and BigGAN-deep.

Brock et al. 2019, appendix B: conditional batch normalization from a shared embedding of the
condition and the latents, spectral normalization of all weights but that embedding's,
self-attention, and orthogonal initialization.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.attention import SelfAttention
from gan_zoo.networks.layers.conditional_norm import ConditionInput
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.normalization import apply_spectral_norm, initialize
from gan_zoo.networks.layers.shapes import square_image
from gan_zoo.networks.resnet import DownBlock, UpBlock, check_attention

NORM = "spectral+conditional"

GENERATOR_WIDTHS = {
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
}
"""For each size in pixels the channels of the first layer and of every block, in units of ``width``
(appendix B, tables 4 to 6; 32 pixels as in the authors' PyTorch program).
"""

DISCRIMINATOR_WIDTHS = {
    32: (4, 4, 4, 4),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
}
"""The channels of every block of the discriminator, of which the last two of 32 pixels and the last
one of larger images keep the size; for BigGAN-deep of the first layer and after each halving.
"""


class BigGANGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` and conditions ``[B, condition_dim]`` to images in (-1, 1).

    The latents are split into equal chunks: the first layer gets the first one, each block one of
    the others, next to the embedding of the condition that all blocks share.

    Args:
        latent_dim: size of the latents, divisible by the number of blocks + 1.
        sample_shape: ``[C, S, S]`` with S of 32, 64, 128 or 256.
        condition_dim: size of the condition's vectors.
        width: unit of the channels; 96 in the paper.
        attention: the size in pixels at which positions attend to each other, 64 in the paper; None
            for no attention.
        embedding_dim: size of the shared embedding; 128 in the paper.
    """

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        condition_dim: int,
        width: Count = 96,
        attention: Count | None = None,
        embedding_dim: Count = 128,
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "generator=biggan")
        widths = [unit * width for unit in table_of(GENERATOR_WIDTHS, size, "generator=biggan")]

        # One chunk of the latents for each block and one for the first layer.
        self.chunks = len(widths)
        if latent_dim % self.chunks:
            raise ValueError(
                f"model.latent_dim must be divisible by {self.chunks}, the number of blocks + 1 of "
                f"generator=biggan at {size} pixels, got {latent_dim}"
            )
        chunk = latent_dim // self.chunks
        condition = ConditionInput(NORM, embedding_dim + chunk)

        # The first layer, and blocks that double the size.
        self.embed = nn.Linear(condition_dim, embedding_dim, bias=False)
        self.start = apply_spectral_norm(nn.Linear(chunk, 16 * widths[0]), NORM)
        self.blocks = nn.ModuleList(
            UpBlock(c_in, c_out, condition) for c_in, c_out in pairwise(widths)
        )

        # Attention after the block of its size.
        sizes = check_attention([8 * 2**k for k in range(len(self.blocks))], attention)
        self.attention_after = None if attention is None else sizes.index(attention)
        if self.attention_after is not None:
            self.attention = SelfAttention(widths[self.attention_after + 1], NORM)
        self.end = output_layers(widths[-1], channels)
        initialize(self, orthogonal)

    def forward(self, latents: Tensor, condition: Tensor) -> Tensor:
        # The first chunk starts the image, the others enter its blocks with the class.
        first, *others = latents.chunk(self.chunks, 1)
        embedded = self.embed(condition)
        # Vectors to maps: ``[B, C, 4, 4]``.
        x = self.start(first).unflatten(1, (-1, 4, 4))

        # The condition goes with every chunk.
        for number, (block, chunk) in enumerate(zip(self.blocks, others, strict=True)):
            x = block(x, torch.cat([embedded, chunk], 1))
            if number == self.attention_after:
                x = self.attention(x)
        images: Tensor = self.end(x)
        return images


class BigGANDiscriminator(nn.Module):
    """Images ``[B, C, S, S]`` to scores ``[B]``: residual blocks, ReLU, sum over positions.

    Args:
        sample_shape: ``[C, S, S]`` with S of 32, 64, 128 or 256.
        width: unit of the channels; 96 in the paper.
        attention: the size in pixels at which positions attend to each other, 64 in the paper; None
            for no attention.
        norm: ``spectral`` as in the paper, or another name of `norm_layer`.
        aux_outputs, condition_dim, fusion: as in `Heads`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 96,
        attention: Count | None = None,
        norm: str = "spectral",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "discriminator=biggan")
        table = table_of(DISCRIMINATOR_WIDTHS, size, "discriminator=biggan")
        # At 32 pixels only two blocks halve the size.
        halvings = 2 if size == 32 else len(table) - 1
        sizes = check_attention([size // 2 ** (k + 1) for k in range(halvings)], attention)

        # Blocks that halve the size, and one or two that keep it.
        layers: list[nn.Module] = []
        c_in = channels
        for number, unit in enumerate(table):
            c_out = unit * width
            halves = number < halvings
            layers += [DownBlock(c_in, c_out, norm, down=halves, first=number == 0)]
            if halves and sizes[number] == attention:
                layers += [SelfAttention(c_out, norm)]
            c_in = c_out
        self.layers = nn.Sequential(*layers, nn.ReLU())
        self.heads = Heads([c_in], aux_outputs, condition_dim, fusion, norm)
        initialize(self, orthogonal)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        summed = self.layers(x).sum((2, 3))
        output: DiscriminatorOutput = self.heads(summed, x, condition)
        return output


class DeepUpBlock(nn.Module):
    """A bottleneck of four convolutions, 1x1, 3x3, 3x3, 1x1, each after norm and ReLU.

    The skip keeps the first ``c_out`` channels (appendix B, figure 16).

    Args:
        c_in, c_out: channels, c_out <= c_in.
        up: whether to double the size.
        condition: the conditional normalizations.
    """

    def __init__(self, c_in: int, c_out: int, up: bool, condition: ConditionInput) -> None:
        super().__init__()
        hidden = max(1, c_in // 4)
        self.c_out = c_out
        self.up = up
        self.norms = nn.ModuleList([condition.layer(c) for c in (c_in, hidden, hidden, hidden)])
        self.convs = nn.ModuleList(bottleneck(c_in, hidden, c_out))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = x
        for number, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            y = relu(norm(y, condition))
            if number == 1 and self.up:
                y = interpolate(y, scale_factor=2.0)
            y = conv(y)

        # The skip drops channels, and doubles the size by nearest neighbors.
        skip = x[:, : self.c_out]
        if self.up:
            skip = interpolate(skip, scale_factor=2.0)
        return y + skip


class DeepDownBlock(nn.Module):
    """The bottleneck of `DeepUpBlock` without normalization.

    Channels that the skip lacks come from a 1x1 convolution of its input.

    Args:
        c_in, c_out: channels, c_out >= c_in.
        down: whether to halve the size.
    """

    def __init__(self, c_in: int, c_out: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.convs = nn.ModuleList(bottleneck(c_in, max(1, c_out // 4), c_out))
        self.more = None
        if c_out > c_in:
            self.more = apply_spectral_norm(nn.Conv2d(c_in, c_out - c_in, 1), "spectral")

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for number, conv in enumerate(self.convs):
            y = relu(y)
            if number == 3 and self.down:
                y = avg_pool2d(y, 2)
            y = conv(y)

        # The skip adds channels, and halves the size by averages.
        skip = avg_pool2d(x, 2) if self.down else x
        if self.more is not None:
            skip = torch.cat([skip, self.more(skip)], 1)
        return y + skip


class BigGANDeepGenerator(nn.Module):
    """BigGAN-deep: bottlenecks, two for each size, all of which get the whole latents.

    Args:
        latent_dim: size of the latents; 128 in the paper.
        sample_shape, condition_dim, attention, embedding_dim: as in `BigGANGenerator`.
        width: unit of the channels; 128 in the paper.
    """

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        condition_dim: int,
        width: Count = 128,
        attention: Count | None = None,
        embedding_dim: Count = 128,
    ) -> None:
        super().__init__()
        name = "generator=biggan_deep"
        channels, size = square_image(sample_shape, name)
        widths = [unit * width for unit in table_of(GENERATOR_WIDTHS, size, name)]
        condition = ConditionInput(NORM, embedding_dim + latent_dim)
        self.embed = nn.Linear(condition_dim, embedding_dim, bias=False)
        inputs = embedding_dim + latent_dim
        self.start = apply_spectral_norm(nn.Linear(inputs, 16 * widths[0]), NORM)

        # At each size a block that keeps it and one that doubles it.
        blocks: list[nn.Module] = []
        for c_in, c_out in pairwise(widths):
            blocks += [DeepUpBlock(c_in, c_in, False, condition)]
            blocks += [DeepUpBlock(c_in, c_out, True, condition)]
        self.blocks = nn.ModuleList(blocks)

        # Attention after the doubling block of its size.
        sizes = check_attention([8 * 2**k for k in range(len(widths) - 1)], attention)
        self.attention_after = None if attention is None else 2 * sizes.index(attention) + 1
        if attention is not None:
            self.attention = SelfAttention(widths[sizes.index(attention) + 1], NORM)
        self.end = output_layers(widths[-1], channels)
        initialize(self, orthogonal)

    def forward(self, latents: Tensor, condition: Tensor) -> Tensor:
        # Unlike in BigGAN every block is given all latents.
        given = torch.cat([latents, self.embed(condition)], 1)
        # Vectors to maps: ``[B, C, 4, 4]``.
        x = self.start(given).unflatten(1, (-1, 4, 4))
        for number, block in enumerate(self.blocks):
            x = block(x, given)
            if number == self.attention_after:
                x = self.attention(x)
        images: Tensor = self.end(x)
        return images


class BigGANDeepDiscriminator(nn.Module):
    """BigGAN-deep's discriminator: bottlenecks whose skips add channels.

    Args:
        sample_shape, attention, aux_outputs, condition_dim, fusion: as in `BigGANDiscriminator`.
        width: unit of the channels; 128 in the paper.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 128,
        attention: Count | None = None,
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        name = "discriminator=biggan_deep"
        channels, size = square_image(sample_shape, name)
        widths = [unit * width for unit in table_of(DISCRIMINATOR_WIDTHS, size, name)]
        sizes = check_attention([size // 2 ** (k + 1) for k in range(len(widths) - 1)], attention)

        # At each size a block that halves it and one that keeps it.
        layers: list[nn.Module] = [
            apply_spectral_norm(nn.Conv2d(channels, widths[0], 3, padding=1), "spectral")
        ]
        for number, (c_in, c_out) in enumerate(pairwise(widths)):
            layers += [DeepDownBlock(c_in, c_out, True), DeepDownBlock(c_out, c_out, False)]
            if sizes[number] == attention:
                layers += [SelfAttention(c_out, "spectral")]
        self.layers = nn.Sequential(*layers, nn.ReLU())
        self.heads = Heads([widths[-1]], aux_outputs, condition_dim, fusion, "spectral")
        initialize(self, orthogonal)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        summed = self.layers(x).sum((2, 3))
        output: DiscriminatorOutput = self.heads(summed, x, condition)
        return output


def bottleneck(c_in: int, hidden: int, c_out: int) -> list[nn.Module]:
    """The four convolutions of a deep block, spectrally normalized."""
    layers = [
        nn.Conv2d(c_in, hidden, 1),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.Conv2d(hidden, c_out, 1),
    ]
    return [apply_spectral_norm(layer, "spectral") for layer in layers]


def output_layers(width: int, channels: int) -> nn.Sequential:
    """Norm, ReLU, 3x3, tanh."""
    conv = apply_spectral_norm(nn.Conv2d(width, channels, 3, padding=1), "spectral")
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv, nn.Tanh())


def table_of(tables: dict[int, tuple[int, ...]], size: int, name: str) -> tuple[int, ...]:
    """The channels for images of ``size`` pixels; `ValueError` where there are none."""
    if size not in tables:
        sizes = ", ".join(map(str, tables))
        raise ValueError(f"{name} is for images of {sizes} pixels, got {size}")
    return tables[size]


def orthogonal(layer: nn.Module) -> None:
    """Orthogonal weights, biases of 0."""
    if isinstance(layer, (nn.Linear, nn.Conv2d)):
        nn.init.orthogonal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
