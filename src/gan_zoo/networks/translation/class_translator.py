"""StarGAN's networks: a translator to a class, and a patch discriminator that finds it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.dcgan import dcgan_init
from gan_zoo.networks.layers.normalization import norm_layer
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.image_to_image import check_shapes


class ZeroPaddedBlock(nn.Module):
    """x + two 3x3 convolutions with zeros around the border, and normalization.

    Args:
        channels: C of the activations ``[B, C, H, W]``.
        norm: a name of `norm_layer`.
    """

    def __init__(self, channels: Count, norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            norm_layer(norm)(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            norm_layer(norm)(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


class ClassTranslator(nn.Module):
    """StarGAN's generator: two halvings, residual blocks, two doublings (Choi et al. 2018, table
    4).

    The class enters as one constant channel for each of its numbers. Convolutions pad by zeros: a
    constant channel is a constant after a convolution with reflected borders, and instance norm
    removes constants, so that the class would have no effect.

    Maps ``[B, C_in, H, W]`` and vectors ``[B, condition_dim]`` to ``[B, C_out, H, W]`` in (-1, 1).

    Args:
        in_shape, out_shape: ``[C, H, W]``; H and W are divisible by 4, and at least 8.
        condition_dim: size of the vectors.
        width: channels after the first layer (64 in the paper).
        blocks: residual blocks in the middle (6 in the paper).
        norm: ``instance`` as in the paper, or ``layer``, ``batch``, ``none``.
        kernel: of the first and the last convolution, odd (7 in the paper).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        condition_dim: Count,
        width: Count = 64,
        blocks: Count = 6,
        norm: str = "instance",
        kernel: Count = 7,
    ) -> None:
        super().__init__()
        c_in, c_out = check_shapes(
            in_shape, out_shape, "generator=class_translator", 4, norm, smallest=2
        )
        if blocks < 1:
            raise ValueError(f"blocks must be >= 1, got {blocks}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that the size stays as it is, got {kernel}")

        def norm_relu(channels: int) -> list[nn.Module]:
            return [norm_layer(norm)(channels), nn.ReLU(inplace=True)]

        # Two halvings, residual blocks, two doublings.
        ends = kernel // 2
        layers: list[nn.Module] = [nn.Conv2d(c_in + condition_dim, width, kernel, padding=ends)]
        layers += norm_relu(width)
        for k in (1, 2):
            layers += [nn.Conv2d(k * width, 2 * k * width, 4, 2, 1), *norm_relu(2 * k * width)]
        layers += [ZeroPaddedBlock(4 * width, norm) for _ in range(blocks)]
        for k in (2, 1):
            up = nn.ConvTranspose2d(2 * k * width, k * width, 4, 2, 1)
            layers += [up, *norm_relu(k * width)]
        last = nn.Conv2d(width, c_out, kernel, padding=ends)
        self.layers = nn.Sequential(*layers, last, nn.Tanh())
        self.apply(dcgan_init)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        maps = condition[:, :, None, None].expand(-1, -1, *x.shape[2:])
        y: Tensor = self.layers(torch.cat([x, maps], 1))
        return y


class ClassPatchGAN(PatchGAN):
    """A `PatchGAN` with a second head for the classes of images (Choi et al. 2018, table 5).

    The head, a convolution of the size of the last activations, is the output's ``aux`` ``[B,
    aux_outputs]``.

    Args:
        sample_shape, layers, width: as in `PatchGAN`; at 128 pixels the paper has six halvings, of
            which five fit here, and width 64.
        aux_outputs: number of classes.
        norm: ``none`` as in the paper, or another name of `norm_layer`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        aux_outputs: Count,
        layers: Count = 3,
        width: Count = 64,
        norm: str = "none",
    ) -> None:
        super().__init__(sample_shape, layers=layers, width=width, norm=norm)
        channels = width * min(2**layers, 8)
        sides = [side // 2**layers - 1 for side in sample_shape[1:]]
        self.classes = nn.Conv2d(channels, aux_outputs, (sides[0], sides[1]))
        dcgan_init(self.classes)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        output = super().forward(x, condition)
        return replace(output, aux=self.classes(output.features[-1]).flatten(1))
