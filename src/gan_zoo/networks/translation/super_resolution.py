"""A generator that enlarges images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gan_zoo.core.types import Count, Shape
from gan_zoo.networks.layers.normalization import needs_bias, norm_layer
from gan_zoo.networks.translation.image_to_image import further_doublings


class ResidualBlock(nn.Module):
    """x + convolution, normalization, PReLU, convolution, normalization (Ledig et al. 2017, figure
    4).

    Args:
        channels: C of the activations ``[B, C, H, W]``.
        norm: a name of `norm_layer`.
    """

    def __init__(self, channels: Count, norm: str) -> None:
        super().__init__()
        # A bias before normalization would be subtracted again.
        bias = needs_bias(norm)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias),
            norm_layer(norm)(channels),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias),
            norm_layer(norm)(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


class SRResNet(nn.Module):
    """SRGAN's generator: residual blocks at the input's size, then doublings by pixel shuffle.

    Ledig et al. 2017, figure 4; Shi et al. 2016 for the pixel shuffle, which moves four channels of
    a pixel to its four places in an image of twice the size. A skip connection leads from the first
    layer around all blocks.

    Maps ``[B, C_in, H, W]`` of any size to ``[B, C_out, s H, s W]`` in (-1, 1).

    Args:
        in_shape, out_shape: ``[C, H, W]`` and ``[C, s H, s W]`` with a scale s of 1, 2, 4, 8, ...
        width: channels (64 in the paper).
        blocks: residual blocks (16 in the paper).
        norm: ``batch`` as in the paper, or ``instance``, ``layer``, ``none``.
        kernel: of the first and the last convolution, odd (9 in the paper).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 64,
        blocks: Count = 16,
        norm: str = "batch",
        kernel: Count = 9,
    ) -> None:
        super().__init__()
        doublings = doublings_of(in_shape, out_shape, "srresnet")
        if blocks < 1:
            raise ValueError(f"blocks must be >= 1, got {blocks}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that the size stays as it is, got {kernel}")
        if norm.startswith("spectral"):
            raise ValueError(
                "norm must be one of batch, instance, layer, none for generator=srresnet, got"
                f" {norm!r}"
            )
        self.multiple = 1  # images of any size

        # Features, residual blocks around which they are led, doublings, an image.
        ends = kernel // 2
        self.first = nn.Sequential(nn.Conv2d(in_shape[0], width, kernel, padding=ends), nn.PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(width, norm) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1, bias=needs_bias(norm)),
            norm_layer(norm)(width),
        )
        doubled: list[nn.Module] = []
        for _ in range(doublings):
            doubled += [
                nn.Conv2d(width, 4 * width, 3, padding=1),
                nn.PixelShuffle(2),
                nn.PReLU(),
            ]
        self.enlarge = nn.Sequential(*doubled)
        self.last = nn.Sequential(nn.Conv2d(width, out_shape[0], kernel, padding=ends), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        y: Tensor = self.last(self.enlarge(features + self.body(features)))
        return y


def doublings_of(in_shape: Sequence[int], out_shape: Sequence[int], network: str) -> int:
    """How often the size of ``in_shape`` has to be doubled for that of ``out_shape``.

    Raises:
        ValueError: if it is not 1, 2, 4, 8, ... times as large.
    """
    doublings = further_doublings(in_shape, out_shape)
    is_same = len(in_shape) == len(out_shape) == 3 and list(in_shape[1:]) == list(out_shape[1:])
    if doublings == 0 and not is_same:
        raise ValueError(
            f"generator={network} enlarges images [C, H, W] by 1, 2, 4, 8, ...: set"
            f" data.derive.factor, got {list(in_shape)} to {list(out_shape)}"
        )
    return doublings
