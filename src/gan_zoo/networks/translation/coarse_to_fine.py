"""The generator of pix2pixHD: a translator of the image's half, and one that adds detail."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import Count, Shape
from gan_zoo.networks.dcgan import dcgan_init
from gan_zoo.networks.layers.normalization import norm_layer
from gan_zoo.networks.translation.image_to_image import (
    ResNetTranslator,
    TranslatorBlock,
    check_shapes,
    upsample_layers,
)


class CoarseToFineTranslator(nn.Module):
    """A global generator of the half-size image inside a local enhancer of the whole one.

    Wang et al. 2018 (pix2pixHD), section 3.1. Maps ``[B, C_in, H, W]`` to ``[B, C_out, H, W]`` in
    (-1, 1). The enhancer halves the image once; the last activations of the global generator, a
    `ResNetTranslator` of twice the width without its output layer, are added there.

    Args:
        in_shape, out_shape: ``[C, H, W]``; H and W are divisible by 8, and at least 16.
        width: channels of the enhancer's first layer (32 in the paper).
        blocks: residual blocks of the global generator (9 in the paper).
        local_blocks: residual blocks of the enhancer (3 in the paper).
        norm: ``instance`` as in the paper, or ``layer``, ``batch``, ``none``.
        upsample: ``transposed`` as in the paper, or ``resize``, which leaves no checkerboard.
        kernel: of the first and last convolutions, odd (7 in the paper).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 32,
        blocks: Count = 9,
        local_blocks: Count = 3,
        norm: str = "instance",
        upsample: str = "transposed",
        kernel: Count = 7,
    ) -> None:
        super().__init__()
        network = "generator=coarse_to_fine"
        c_in, c_out = check_shapes(in_shape, out_shape, network, 8, norm, smallest=2)
        if local_blocks < 1:
            raise ValueError(f"local_blocks must be >= 1, got {local_blocks}")
        self.multiple = 8

        # The global generator, up to its last activations.
        half_in, half_out = (
            [shape[0], *(side // 2 for side in shape[1:])] for shape in (in_shape, out_shape)
        )
        whole = ResNetTranslator(half_in, half_out, 2 * width, blocks, norm, upsample, kernel)
        self.coarse = whole.layers[:-2]

        def same_conv(a: int, b: int) -> nn.Module:
            return nn.Conv2d(a, b, kernel, padding=kernel // 2, padding_mode="reflect")

        def norm_relu(channels: int) -> list[nn.Module]:
            return [norm_layer(norm)(channels), nn.ReLU(inplace=True)]

        # The enhancer: a halving, then residual blocks and a doubling.
        halving = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.down = nn.Sequential(
            same_conv(c_in, width), *norm_relu(width), halving, *norm_relu(2 * width)
        )
        self.up = nn.Sequential(
            *(TranslatorBlock(2 * width, norm) for _ in range(local_blocks)),
            *upsample_layers(2 * width, width, upsample),
            *norm_relu(width),
            same_conv(width, c_out),
            nn.Tanh(),
        )
        self.apply(dcgan_init)

    def forward(self, x: Tensor) -> Tensor:
        half = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        y: Tensor = self.up(self.down(x) + self.coarse(half))
        return y
