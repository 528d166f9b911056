"""A discriminator that scores the image and each of its pixels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.conditional_norm import ConditionInput
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.normalization import apply_spectral_norm
from gan_zoo.networks.layers.shapes import square_image
from gan_zoo.networks.resnet import DownBlock, UpBlock


class UNetDiscriminator(nn.Module):
    """Images ``[B, C, S, S]`` to a score of the image and a score of each pixel.

    Schönfeld et al. 2020, section 3.1: residual blocks halve the image down to 4x4, from whose sum
    the image is scored; further blocks double it again, with skip connections from the activations
    of each size. Losses and accuracies are means over both, the output's ``parts``: the image
    ``[B]``, then the pixels ``[B, S, S]``. The paper adds their losses.

    Args:
        sample_shape: ``[C, S, S]`` with S a power of two from 8 to 256.
        width: channels after the first block; they double with each further one, up to 16 times.
        norm: ``spectral`` as in the paper, or another name of `norm_layer`.
        aux_outputs, condition_dim, fusion: as in `Heads`, for the score of the image; pixels are
            scored without a condition.
    """

    scores_pixels: ClassVar[bool] = True

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 64,
        norm: str = "spectral",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        channels, size = square_image(sample_shape, "discriminator=unet")
        widths = [width * min(2**k, 16) for k in range(size.bit_length() - 3)]

        # Down to 4x4, and the score of the image.
        down = [DownBlock(channels, widths[0], norm, first=True)]
        down += [DownBlock(widths[k], widths[k + 1], norm) for k in range(len(widths) - 1)]
        self.down = nn.ModuleList(down)
        self.heads = Heads([widths[-1]], aux_outputs, condition_dim, fusion, norm)

        # Up again; each block but the first also gets the activations of its size.
        plain = ConditionInput(norm, None)
        outputs = [*reversed(widths[:-1]), widths[0]]
        inputs = [widths[-1], *(2 * c for c in outputs[:-1])]
        self.up = nn.ModuleList(
            UpBlock(c_in, c_out, plain) for c_in, c_out in zip(inputs, outputs, strict=True)
        )
        self.pixels = apply_spectral_norm(nn.Conv2d(widths[0], 1, 1), norm)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        # The activations of each size, from the largest to 4x4.
        skips = []
        y = x
        for block in self.down:
            y = block(y)
            skips.append(y)
        image = self.heads(relu(y).sum((2, 3)), x, condition)

        # Back to the size of the image.
        skips.pop()
        for block in self.up:
            y = block(y)
            if skips:
                y = torch.cat([y, skips.pop()], 1)
        pixels = DiscriminatorOutput(self.pixels(relu(y))[:, 0], x)

        scores = torch.cat([image.score[:, None], pixels.score.flatten(1)], 1)
        return DiscriminatorOutput(
            scores, x, image.aux, image.features, parts=(image, pixels), direction=image.direction
        )
