"""The discriminators of pix2pix and CycleGAN, which score patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape, Whole
from gan_zoo.networks.dcgan import dcgan_init
from gan_zoo.networks.layers.normalization import (
    apply_spectral_norm,
    initialize,
    needs_bias,
    norm_layer,
)


class PatchGAN(nn.Module):
    """Images ``[B, C, H, W]`` to raw scores of overlapping patches, ``[B, 1, h, w]``.

    Isola et al. 2017, section 3.3 and appendix: with 3 layers every score sees 70x70 pixels, with 2
    layers 34x34, with 1 layer 16x16. A condition is an image, concatenated to the sample along the
    channels; a smaller one is enlarged.

    Args:
        sample_shape: ``[C, H, W]``, the shorter side at least 2^(layers + 2) pixels.
        condition_channels: channels of the condition image; 0 for none.
        layers: halvings, >= 1.
        width: channels after the first layer; they double up to 8 times that.
        norm: a name of `norm_layer`.
        all_features: whether the features are the activations of all layers, not of the last alone.
    """

    def __init__(
        self,
        sample_shape: Shape,
        condition_channels: Whole = 0,
        layers: Count = 3,
        width: Count = 64,
        norm: str = "instance",
        all_features: bool = False,
    ) -> None:
        super().__init__()
        if len(sample_shape) != 3:
            raise ValueError(
                "discriminator=patchgan works on images; the data's sample_shape is"
                f" {list(sample_shape)}"
            )
        if layers < 1 or min(sample_shape[1:]) < 2 ** (layers + 2):
            raise ValueError(
                "discriminator.layers must be >= 1 and leave patches of at least 4x4 activations:"
                f" images of {min(sample_shape[1:])} pixels allow"
                f" {min(sample_shape[1:]).bit_length() - 3}, got {layers}"
            )

        # The first layer has no normalization, the last one no stride.
        widths = [width * min(2**k, 8) for k in range(layers + 1)]
        biased = needs_bias(norm)
        stack: list[nn.Module] = [
            apply_spectral_norm(
                nn.Conv2d(sample_shape[0] + condition_channels, width, 4, 2, 1), norm
            ),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for k in range(1, layers + 1):
            stride = 2 if k < layers else 1
            c_in, c_out = widths[k - 1], widths[k]
            layer = apply_spectral_norm(nn.Conv2d(c_in, c_out, 4, stride, 1, bias=biased), norm)
            stack += [layer, norm_layer(norm)(c_out), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*stack)
        self.all_features = all_features
        self.score = apply_spectral_norm(nn.Conv2d(widths[-1], 1, 4, 1, 1), norm)
        initialize(self, dcgan_init)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        if condition is not None and condition.shape[2:] != x.shape[2:]:
            condition = interpolate(condition, x.shape[2:])
        h = x if condition is None else torch.cat([x, condition], 1)

        # Activations are what comes out of the nonlinearities.
        features = []
        for layer in self.layers:
            h = layer(h)
            if isinstance(layer, nn.LeakyReLU):
                features.append(h)
        shown = tuple(features if self.all_features else features[-1:])
        return DiscriminatorOutput(self.score(h), x, features=shown)


class MultiScalePatchGAN(nn.Module):
    """A `PatchGAN` for each of several sizes of the image.

    Wang et al. 2018, pix2pixHD, section 3.2.

    Discriminator k gets the image halved k times by average pooling. Losses and accuracies are
    means over the scales; the paper has their sum, which is ``scales`` times that.

    Args:
        scales: number of sizes, >= 1.
        sample_shape, options: as in `PatchGAN`, which must allow the smallest size.
    """

    def __init__(self, scales: int, sample_shape: Shape, **options: Any) -> None:
        super().__init__()
        channels, height, width = sample_shape
        shapes = [(channels, height // 2**k, width // 2**k) for k in range(scales)]
        self.scales = nn.ModuleList(PatchGAN(shape, **options) for shape in shapes)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        # Each scale halves the image, and a condition of the same size.
        parts = []
        smaller = x
        for number, scale in enumerate(self.scales):
            if number > 0:
                if condition is not None and condition.shape[2:] == smaller.shape[2:]:
                    condition = half_size(condition)
                smaller = half_size(smaller)
            parts.append(scale(smaller, condition))

        # All scores as one row, and the scales' own outputs as parts.
        scores = torch.cat([part.score.flatten(1) for part in parts], 1)
        features = tuple(feature for part in parts for feature in part.features)
        return DiscriminatorOutput(scores, x, features=features, parts=tuple(parts))


def half_size(images: Tensor) -> Tensor:
    """Images of half the size, by 3x3 average pooling that leaves out the border."""
    return avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)


def patchgan(
    sample_shape: Shape,
    condition_channels: Whole = 0,
    layers: Count = 3,
    width: Count = 64,
    norm: str = "instance",
    scales: Count = 1,
    all_features: bool = False,
) -> nn.Module:
    """A `PatchGAN`, or with more than one of ``scales`` a `MultiScalePatchGAN`."""
    if scales < 1:
        raise ValueError(f"discriminator.scales must be >= 1, got {scales}")
    options = {
        "condition_channels": condition_channels,
        "layers": layers,
        "width": width,
        "norm": norm,
        "all_features": all_features,
    }

    # With one scale there is nothing to average.
    if scales == 1:
        return PatchGAN(sample_shape, **options)  # type: ignore[arg-type]
    return MultiScalePatchGAN(scales, sample_shape, **options)
