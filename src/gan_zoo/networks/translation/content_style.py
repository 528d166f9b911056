"""Translators of an encoder and a decoder: UNIT's, and MUNIT's with a style."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from gan_zoo.core.types import Count, Shape
from gan_zoo.networks.layers.adaptive_norm import AdaptiveInstanceNorm
from gan_zoo.networks.layers.conditional_norm import ConditionalSequential
from gan_zoo.networks.layers.normalization import norm_layer
from gan_zoo.networks.translation.image_to_image import TranslatorBlock, check_shapes

HALVINGS = 2
STYLE_HALVINGS = 4


class ContentEncoder(nn.Module):
    """Images ``[B, C, H, W]`` to codes ``[B, 4 width, H / 4, W / 4]``, with instance normalization.

    Args:
        channels: C.
        width: channels after the first layer.
        blocks: residual blocks behind the two halvings.
        kernel: of the first convolution, odd.
    """

    def __init__(self, channels: Count, width: Count, blocks: Count, kernel: Count) -> None:
        super().__init__()
        # Instance normalization takes the style out of the contents.
        layers = [same_conv(channels, width, kernel), norm_layer("instance")(width), nn.ReLU()]
        for k in range(HALVINGS):
            c_in, c_out = width * 2**k, width * 2 ** (k + 1)
            layers += [halving(c_in, c_out), norm_layer("instance")(c_out), nn.ReLU()]
        self.halvings = nn.Sequential(*layers)
        self.blocks = nn.ModuleList(TranslatorBlock(4 * width, "instance") for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.halvings(x)
        for block in self.blocks:
            codes = block(codes)
        return codes


class StyleEncoder(nn.Module):
    """Images ``[B, C, H, W]`` to vectors ``[B, outputs]``: halvings, then the mean over all places.

    Without normalization: instance normalization would remove means and variances, which are the
    style (Huang et al. 2018, section 5.1).

    Args:
        image_shape: ``[C, H, W]``.
        outputs: size of the vectors.
        width: channels after the first layer; they double up to 4 times that.
        kernel: of the first convolution, odd.
    """

    def __init__(self, image_shape: Shape, outputs: Count, width: Count, kernel: Count) -> None:
        super().__init__()
        # Small images are left with 2x2 places.
        halvings = min(STYLE_HALVINGS, min(image_shape[1:]).bit_length() - 2)
        widths = [width * min(2**k, 4) for k in range(halvings + 1)]
        layers: list[nn.Module] = [same_conv(image_shape[0], width, kernel), nn.ReLU()]
        for c_in, c_out in pairwise(widths):
            layers += [halving(c_in, c_out), nn.ReLU()]
        head = nn.Conv2d(widths[-1], outputs, 1)
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), head, nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        vectors: Tensor = self.layers(x)
        return vectors


class StyledBlock(nn.Module):
    """x + two 3x3 convolutions with reflected borders and `AdaptiveInstanceNorm`.

    Args:
        channels: C of the activations ``[B, C, H, W]``.
        condition_dim: size of the vectors ``[B, condition_dim]``.
    """

    conditional = True

    def __init__(self, channels: Count, condition_dim: Count) -> None:
        super().__init__()
        self.layers = ConditionalSequential(
            same_conv(channels, channels, 3),
            AdaptiveInstanceNorm(channels, condition_dim),
            nn.ReLU(),
            same_conv(channels, channels, 3),
            AdaptiveInstanceNorm(channels, condition_dim),
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x, condition)
        return y


class Decoder(nn.Module):
    """Codes ``[B, 4 width, H / 4, W / 4]``, and a style if there are any, to images in (-1, 1).

    A style, mapped by two hidden layers, sets the normalizations of the residual blocks. The
    doublings have layer normalization: instance normalization would remove the style again.

    Args:
        channels: C of the images ``[B, C, H, W]``.
        width: channels before the last layer.
        blocks: residual blocks.
        kernel: of the last convolution, odd.
        latent_dim: size of styles; None for a decoder of codes alone.
        hidden: size of the layers that map the style.
    """

    def __init__(
        self,
        channels: Count,
        width: Count,
        blocks: Count,
        kernel: Count,
        latent_dim: Count | None = None,
        hidden: Count = 256,
    ) -> None:
        super().__init__()
        self.mapping = None if latent_dim is None else style_mapping(latent_dim, hidden)
        # Styles enter the residual blocks alone.
        self.blocks = nn.ModuleList(
            TranslatorBlock(4 * width, "instance")
            if latent_dim is None
            else StyledBlock(4 * width, hidden)
            for _ in range(blocks)
        )

        # Layer normalization, which unlike instance normalization keeps the styles.
        layers: list[nn.Module] = []
        for k in reversed(range(HALVINGS)):
            c_in, c_out = width * 2 ** (k + 1), width * 2**k
            conv = same_conv(c_in, c_out, 5)
            layers += [nn.Upsample(scale_factor=2), conv, norm_layer("layer")(c_out), nn.ReLU()]
        self.doublings = nn.Sequential(*layers, same_conv(width, channels, kernel), nn.Tanh())

    def forward(self, codes: Tensor, latents: Tensor | None = None) -> Tensor:
        condition = () if self.mapping is None else (self.mapping(latents),)
        for block in self.blocks:
            codes = block(codes, *condition)
        images: Tensor = self.doublings(codes)
        return images


class EncoderDecoder(nn.Module):
    """UNIT's translator: an encoder of one domain and a decoder of another one (Liu et al. 2017).

    Maps ``[B, C_in, H, W]`` to ``[B, C_out, H, W]`` in (-1, 1), by codes ``[B, 4 width, H / 4, W /
    4]`` between `encode` and `decode`. Convolutions start with variances that keep those of their
    inputs (He et al. 2015).

    Args:
        in_shape, out_shape: ``[C, H, W]``; H and W are divisible by 4, and at least 8.
        width: channels after the first layer (64 in the paper).
        blocks: residual blocks of each half (4 in the authors' program).
        kernel: of the first and the last convolution, odd (7 in the paper).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 64,
        blocks: Count = 4,
        kernel: Count = 7,
    ) -> None:
        super().__init__()
        c_in, c_out = check_ends(in_shape, out_shape, "encoder_decoder", kernel)
        self.encoder = ContentEncoder(c_in, width, blocks, kernel)
        self.decoder = Decoder(c_out, width, blocks, kernel)
        self.apply(he_init)

    def encode(self, x: Tensor) -> Tensor:
        """The codes of images of the first domain."""
        codes: Tensor = self.encoder(x)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """The images of the second domain."""
        images: Tensor = self.decoder(codes)
        return images

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class ContentStyleTranslator(nn.Module):
    """MUNIT's translator: the content of one domain, the style of another one (Huang et al. 2018).

    Figure 3 and appendix B.1. Maps images ``[B, C_in, H, W]`` and styles ``[B, latent_dim]`` to
    ``[B, C_out, H, W]`` in (-1, 1). Contents are ``[B, 4 width, H / 4, W / 4]``. Weights start as
    in `EncoderDecoder`.

    Args:
        in_shape, out_shape, width, blocks, kernel: as in `EncoderDecoder`.
        latent_dim: size of styles.
        hidden: size of the layers that map a style to scales and shifts (256 in the paper).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        latent_dim: Count,
        width: Count = 64,
        blocks: Count = 4,
        kernel: Count = 7,
        hidden: Count = 256,
    ) -> None:
        super().__init__()
        c_in, c_out = check_ends(in_shape, out_shape, "content_style", kernel)
        self.encoder = ContentEncoder(c_in, width, blocks, kernel)
        self.style_encoder = StyleEncoder(out_shape, latent_dim, width, kernel)
        self.decoder = Decoder(c_out, width, blocks, kernel, latent_dim, hidden)
        self.apply(he_init)

    def content(self, x: Tensor) -> Tensor:
        """The contents of images of the first domain."""
        contents: Tensor = self.encoder(x)
        return contents

    def style(self, x: Tensor) -> Tensor:
        """The styles ``[B, latent_dim]`` of images of the second domain."""
        styles: Tensor = self.style_encoder(x)
        return styles

    def decode(self, contents: Tensor, latents: Tensor) -> Tensor:
        """The images of the second domain."""
        images: Tensor = self.decoder(contents, latents)
        return images

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        return self.decode(self.content(x), latents)


def check_ends(in_shape: Shape, out_shape: Shape, network: str, kernel: int) -> tuple[int, int]:
    """Channels in and out of images that can be halved twice.

    Raises:
        ValueError: for other shapes, or a kernel that changes the size.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, so that the size stays as it is, got {kernel}")
    return check_shapes(
        in_shape, out_shape, f"generator={network}", 2**HALVINGS, "instance", smallest=2
    )


def same_conv(c_in: int, c_out: int, kernel: int) -> nn.Module:
    """A convolution with reflected borders that leaves the size as it is."""
    return nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, padding_mode="reflect")


def halving(c_in: int, c_out: int) -> nn.Module:
    """A convolution with reflected borders that halves the size."""
    return nn.Conv2d(c_in, c_out, 4, 2, 1, padding_mode="reflect")


def style_mapping(latent_dim: int, hidden: int) -> nn.Module:
    """Styles ``[B, latent_dim]`` to ``[B, hidden]`` by two layers."""
    return nn.Sequential(
        nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
    )


def he_init(module: nn.Module) -> None:
    """Weights of convolutions and linear maps from N(0, 2 / fan-in), their biases zero."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
