"""The discriminator of Projected GAN: small discriminators of a frozen network's features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.normalization import apply_spectral_norm, norm_layer

WIDTHS = {4: 512, 8: 512, 16: 256, 32: 128, 64: 64, 128: 64, 256: 32}
"""Channels of the small discriminators at each size, as in the authors' code, for width 64."""


class ProjectedDiscriminator(nn.Module):
    """A small discriminator for each of several layers of a frozen network.

    Sauer et al. 2021. Features are mixed across channels by random 1x1 convolutions (CCM), and
    across layers from the deepest to the first by random blocks that double the size (CSM); both
    are frozen. Each small discriminator halves its features to about 8x8 by spectrally normalized
    4x4 convolutions with batch normalization, and scores patches. Losses and accuracies are means
    over the discriminators, the output's ``parts``.

    Args:
        sample_shape: ``[C, S, S]``, C 1 or 3.
        features: images ``[B, C, H, W]`` in [-1, 1] to features ``[B, F, h, w]`` of halving sizes,
            in the order of the network; frozen.
        width: channels of the first mixed features, doubled at each further one, to which those of
            the small discriminators are in proportion; 64 in the paper.
        norm: of the small discriminators' activations, by name; ``batch`` in the paper.
        condition_dim, aux_outputs, fusion: must be None; ``fusion`` is ignored.

    Raises:
        ValueError: for conditions or further outputs.
    """

    def __init__(
        self,
        sample_shape: Shape,
        features: nn.Module,
        width: Count = 64,
        norm: str = "batch",
        condition_dim: int | None = None,
        aux_outputs: int | None = None,
        fusion: str | None = None,
    ) -> None:
        super().__init__()
        if condition_dim is not None or aux_outputs is not None:
            raise ValueError(
                "discriminator=projected scores images alone: choose another discriminator= for "
                "models with conditions or classes"
            )
        self.network_name = getattr(features, "network_name", None)
        # In a tuple it is no submodule: not trained, counted or saved, and always in evaluation.
        self._frozen = (features.eval().requires_grad_(False),)
        with torch.no_grad():
            found = features(torch.zeros(1, *sample_shape))

        # Cross-channel mixing: width, 2 width, 4 width, ... channels. Cross-scale mixing: from the
        # deepest layer to the first.
        mixed = [width * 2**k for k in range(len(found))]
        outputs = [max(width, c_out // 2) for c_out in mixed]
        self.channel_mixing = nn.ModuleList(
            FrozenMixing(feature.shape[1], c_out)
            for feature, c_out in zip(found, mixed, strict=True)
        )
        self.scale_mixing = nn.ModuleList(
            FrozenMixing(c_in, c_out) for c_in, c_out in zip(mixed, outputs, strict=True)
        )
        self.scales = nn.ModuleList(
            PatchScores(c_in, 2 * feature.shape[-1], norm, width)
            for feature, c_in in zip(found, outputs, strict=True)
        )

    @property
    def features(self) -> nn.Module:
        """The frozen network."""
        return self._frozen[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves the frozen network with this one."""
        self.features._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        parts = []
        for scale, feature in zip(self.scales, self.mixed(x), strict=True):
            parts.append(DiscriminatorOutput(scale(feature), x))
        scores = torch.cat([part.score.flatten(1) for part in parts], 1)
        return DiscriminatorOutput(scores, x, parts=tuple(parts))

    def mixed(self, x: Tensor) -> list[Tensor]:
        """The mixed features, in the order of the network."""
        features = self.features(x)
        above: Tensor | None = None
        found = []

        # From the deepest layer, which has the smallest maps, to the first.
        for number in reversed(range(len(features))):
            own = self.channel_mixing[number](features[number])
            if above is not None:
                # The size is given, as an odd side is not twice that of the layer below.
                own = own + interpolate(above, own.shape[2:], mode="bilinear", align_corners=True)
            doubled = interpolate(own, scale_factor=2.0, mode="bilinear", align_corners=True)
            above = self.scale_mixing[number](doubled)
            found.append(above)
        return found[::-1]


class FrozenMixing(nn.Module):
    """A random 1x1 convolution that is not trained: buffers, saved with the discriminator.

    Args:
        c_in, c_out: channels.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, 1)
        assert conv.bias is not None
        self.register_buffer("weight", conv.weight.detach())
        self.register_buffer("bias", conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self.bias)


class PatchScores(nn.Module):
    """Scores of patches: halve to about 8x8, then a 4x4 convolution.

    Args:
        channels: of the features.
        size: side of the features in places.
        norm: of activations, by name.
        width: 64 for the channels of `WIDTHS`, others in proportion.
    """

    def __init__(self, channels: int, size: int, norm: str, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side = size
        c_in = channels

        # The published channels are those of powers of two: the nearest one for other sizes.
        while side > 8:
            side = side // 2
            published = WIDTHS[min(WIDTHS, key=lambda known: abs(known - side))]
            c_out = max(1, published * width // 64)
            layers += [
                apply_spectral_norm(nn.Conv2d(c_in, c_out, 4, 2, 1, bias=False), "spectral"),
                norm_layer(norm)(c_out),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            c_in = c_out

        # The last convolution sees patches of 4x4, or all where there is less.
        kernel = min(4, side)
        layers += [apply_spectral_norm(nn.Conv2d(c_in, 1, kernel, bias=False), "spectral")]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.layers(features)
        return scores
