"""Vision transformers of pixels (GAT, Hyun et al. 2025)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Fraction, Shape
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.shapes import square_image
from gan_zoo.networks.layers.transformer import (
    ModulatedBlock,
    RMSNorm,
    ScaledBlock,
    axial_rotation,
    modulation,
    sincos_positions,
    xavier_linear,
)
from gan_zoo.networks.stylegan2 import Mapping


class ToPatches(nn.Module):
    """(1 + s) norm(x) of tokens, s of a style, to the pixels of their patches.

    Args:
        width: size of a token.
        style_dim: size of the styles.
        pixels: numbers of a patch.
    """

    def __init__(self, width: int, style_dim: int, pixels: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width, affine=False)
        self.modulation = modulation(style_dim, width)
        self.linear = xavier_linear(width, pixels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``[B, T, pixels]`` of tokens ``[B, T, width]`` and styles ``[B, style_dim]``."""
        scale = self.modulation(style)[:, None]
        pixels: Tensor = self.linear((1 + scale) * self.norm(x))
        return pixels


class ViTGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` and optional conditions to images ``[B, C, S, S]`` in (-1, 1).

    Latents and condition are mapped to styles as in StyleGAN2. Tokens, one for each patch, start
    as fixed positions and pass through blocks that the styles modulate and gate. After every
    ``depth / levels`` blocks a level adds its pixels to those of the levels before; tanh of the
    sum is the image of that level, that of the last one the sample. Block i and the level that
    ends with it take style input i.

    Args:
        latent_dim: size of the latents (64 in GAT).
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 256.
        patch: side of a patch, which divides S.
        width: size of a token, a multiple of 4 ``heads``.
        depth: blocks, a multiple of ``levels``.
        heads: of the attention.
        style_dim: size of the styles; None for ``width``.
        mapping_layers: dense layers of the mapping.
        mean_decay: of the mean style, for each batch.
        levels: images of growing depth; 4 in GAT.
        condition_dim: size of the condition's vectors; None for an unconditional generator.
    """

    running_mean: Tensor
    positions: Tensor
    rotation: Tensor

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        patch: Count = 4,
        width: Count = 128,
        depth: Count = 8,
        heads: Count = 4,
        style_dim: Count | None = None,
        mapping_layers: Count = 2,
        mean_decay: Fraction = 0.995,
        levels: Count = 1,
        condition_dim: int | None = None,
    ) -> None:
        super().__init__()
        channels, self.side = patches(sample_shape, patch, "generator=vit")
        if depth % levels:
            raise ValueError(f"generator.depth must be a multiple of {levels} levels, got {depth}")
        style_dim = width if style_dim is None else style_dim

        # The mapping; processes average buffers of this name.
        self.mapping_network = Mapping(latent_dim, condition_dim, style_dim, mapping_layers)
        self.register_buffer("running_mean", torch.zeros(style_dim))
        self.mean_decay = mean_decay
        self.num_styles = depth

        # Blocks, and pixels after each level.
        self.patch = patch
        self.blocks = nn.ModuleList(ModulatedBlock(width, heads, style_dim) for _ in range(depth))
        self.outputs = nn.ModuleList(
            ToPatches(width, style_dim, channels * patch**2) for _ in range(levels)
        )
        register_positions(self, self.side, width, heads)

    @property
    def mean_style(self) -> Tensor:
        """The running mean of the styles of training, ``[D]``."""
        return self.running_mean

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """Styles ``[B, L, D]``, the same for each of the L blocks."""
        styles: Tensor = self.mapping_network(latents, condition)
        return styles[:, None].expand(-1, self.num_styles, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        """Images ``[B, C, S, S]`` of styles ``[B, L, D]``."""
        return self.images(styles)[-1]

    def images(self, styles: Tensor) -> list[Tensor]:
        """The images ``[B, C, S, S]`` of all levels, the sample last."""
        # Tokens begin as their positions: ``[B, T, D]``.
        x = self.positions.expand(styles.shape[0], -1, -1)
        per_level = self.num_styles // len(self.outputs)
        pixels = torch.zeros((), device=x.device)
        found = []
        for number, block in enumerate(self.blocks):
            x = block(x, self.rotation, styles[:, number])
            # After equal parts of the blocks an image, which later ones add to.
            level, rest = divmod(number + 1, per_level)
            if rest == 0:
                pixels = pixels + self.outputs[level - 1](x, styles[:, number])
                found.append(from_patches(pixels, self.patch).tanh())
        return found

    def forward(
        self, latents: Tensor, condition: Tensor | None = None, all_levels: bool = False
    ) -> Tensor:
        """The samples; with ``all_levels`` the images of all levels ``[B, levels C, S, S]``, the
        samples last.
        """
        styles = self.mapping(latents, condition)
        if self.training:
            mean = styles[:, 0].detach().mean(0).to(self.running_mean)
            self.running_mean.lerp_(mean, 1 - self.mean_decay)
        return torch.cat(self.images(styles), 1) if all_levels else self.synthesis(styles)


class ViTDiscriminator(nn.Module):
    """Images ``[B, C, S, S]`` to a `DiscriminatorOutput` with scores ``[B]``.

    Patches become tokens by a linear map, to which fixed positions are added; a class token comes
    first, and its normalized activations after all blocks are the feature.

    Args:
        sample_shape, patch, width, depth, heads: as in `ViTGenerator`.
        aux_outputs, condition_dim, fusion: as in `Heads`.
    """

    positions: Tensor
    rotation: Tensor

    def __init__(
        self,
        sample_shape: Shape,
        patch: Count = 4,
        width: Count = 128,
        depth: Count = 8,
        heads: Count = 4,
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        channels, side = patches(sample_shape, patch, "discriminator=vit")
        self.patch = patch
        self.embed = xavier_linear(channels * patch**2, width)
        self.class_token = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(ScaledBlock(width, heads) for _ in range(depth))
        self.norm = RMSNorm(width)
        self.heads = Heads([width], aux_outputs, condition_dim, fusion)
        # The class token stands at no place.
        register_positions(self, side, width, heads, unplaced=1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        tokens = self.embed(to_patches(x, self.patch)) + self.positions
        h = torch.cat([self.class_token.expand(x.shape[0], 1, -1), tokens], 1)
        for block in self.blocks:
            h = block(h, self.rotation)
        output: DiscriminatorOutput = self.heads(self.norm(h[:, 0]), x, condition)
        return output


def patches(sample_shape: Shape, patch: int, network: str) -> tuple[int, int]:
    """The channels, and the number of patches along a side, of square images.

    Raises:
        ValueError: naming ``network``, for other samples or a patch that does not divide the side.
    """
    channels, size = square_image(sample_shape, network)
    if size % patch:
        raise ValueError(f"patch of {network} must divide the {size} pixels of a side, got {patch}")
    return channels, size // patch


def register_positions(
    network: nn.Module, side: int, width: int, heads: int, unplaced: int = 0
) -> None:
    """Buffers ``positions [T, width]`` and ``rotation`` of a network's tokens, not saved."""
    network.register_buffer("positions", sincos_positions(side, width), persistent=False)
    rotation = axial_rotation(side, width // heads, unplaced)
    network.register_buffer("rotation", rotation, persistent=False)


def to_patches(images: Tensor, patch: int) -> Tensor:
    """Images ``[B, C, S, S]`` cut into patches, row by row, ``[B, T, C patch^2]``."""
    batch, channels, size, _ = images.shape
    side = size // patch
    cut = images.reshape(batch, channels, side, patch, side, patch)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, side**2, channels * patch**2)


def from_patches(pixels: Tensor, patch: int) -> Tensor:
    """The inverse of `to_patches`."""
    batch, tokens, numbers = pixels.shape
    side, channels = math.isqrt(tokens), numbers // patch**2
    cut = pixels.reshape(batch, side, side, channels, patch, patch)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, side * patch, side * patch)
