"""The discriminator of pix2pix and CycleGAN, which judges patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape, Whole
from gan_zoo.networks.dcgan import dcgan_init
from gan_zoo.networks.layers.normalization import initialize, maybe_spectral, norm_layer, wants_bias


class PatchGAN(nn.Module):
    """Images ``[B, C, H, W]`` to one raw score for each of many overlapping patches, ``[B, 1, h, w]``.

    Isola et al. 2017, section 3.3 and appendix: with 3 layers every score sees 70x70 pixels, with 2 layers 34x34, with
    1 layer 16x16. A condition is a picture of the same size, laid beside the sample.

    Args:
        sample_shape: ``[C, H, W]``, the shorter side at least 2^(layers + 2) pixels.
        condition_channels: channels of the condition picture; 0 for none.
        layers: halvings, >= 1.
        width: channels after the first layer; they double up to 8 times that.
        norm: a name of `norm_layer`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        condition_channels: Whole = 0,
        layers: Count = 3,
        width: Count = 64,
        norm: str = "instance",
    ) -> None:
        super().__init__()
        if len(sample_shape) != 3:
            raise ValueError(f"discriminator=patchgan works on images; the data's sample_shape is {list(sample_shape)}")
        if layers < 1 or min(sample_shape[1:]) < 2 ** (layers + 2):
            raise ValueError(
                f"discriminator.layers must be >= 1 and leave patches of at least 4x4 activations: pictures of "
                f"{min(sample_shape[1:])} pixels allow {min(sample_shape[1:]).bit_length() - 3}, got {layers}"
            )
        widths = [width * min(2**k, 8) for k in range(layers + 1)]
        biased = wants_bias(norm)
        stack: list[nn.Module] = [
            maybe_spectral(nn.Conv2d(sample_shape[0] + condition_channels, width, 4, 2, 1), norm),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for k in range(1, layers + 1):
            stride = 2 if k < layers else 1
            c_in, c_out = widths[k - 1], widths[k]
            layer = maybe_spectral(nn.Conv2d(c_in, c_out, 4, stride, 1, bias=biased), norm)
            stack += [layer, norm_layer(norm)(c_out), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*stack)
        self.score = maybe_spectral(nn.Conv2d(widths[-1], 1, 4, 1, 1), norm)
        initialize(self, dcgan_init)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        h = self.layers(x if condition is None else torch.cat([x, condition], 1))
        return DiscriminatorOutput(self.score(h), x, features=(h,))
