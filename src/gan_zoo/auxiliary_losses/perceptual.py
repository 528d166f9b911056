"""Distances in the feature space of a frozen network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.reconstruction import Reconstruction
from gan_zoo.core.types import Count, Weight, at_least_float32
from gan_zoo.networks.pretrained.efficientnet_lite0 import lite0
from gan_zoo.networks.pretrained.perceptual import unit_difference


class Perceptual(Reconstruction):
    """Distance of a frozen network's features, ``(output, target) -> scalar``.

    Zhang et al. 2018, eq. 1: sum_l w_l E norm(a_l - b_l)^2, where a_l and b_l are the layer's
    activations at a place, each divided by its length over channels, and E is the mean over samples
    and places; at most 4 for each layer. Without that division it is the feature loss of Johnson et
    al. 2016, eq. 2, sum_l w_l mean (a_l - b_l)^2, in the network's own units, tens to hundreds.

    Gradients reach the images and stop there: the network is in evaluation mode, needs no gradient,
    moves between devices with this module and is not in its state dict.

    Args:
        features: images ``[B, C, H, W]`` in [-1, 1] to a list of features ``[B, F, ...]``;
            `Lite0Features` if None.
        layer_weights: w_l, one number >= 0 for each of the features, or None for ones.
        normalize: whether activations are divided by their length.
    """

    def __init__(
        self,
        features: nn.Module | None = None,
        layer_weights: Sequence[Weight] | None = None,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if layer_weights is not None and min(layer_weights, default=-1) < 0:
            raise ValueError(f"layer_weights must be numbers >= 0, got {list(layer_weights)}")
        features = Lite0Features() if features is None else features
        # In a tuple it is no submodule: not trained, averaged, counted or saved.
        self._frozen = (features.eval().requires_grad_(False),)
        self.layer_weights = None if layer_weights is None else tuple(layer_weights)
        self.normalize = normalize

    @property
    def features(self) -> nn.Module:
        """The frozen network."""
        return self._frozen[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves the frozen network with this module."""
        self.features._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        ours = self.features(output)
        theirs = self.features(target)
        # Without weights all layers count alike.
        weights = self.layer_weights or (1.0,) * len(ours)
        if len(weights) != len(ours):
            raise ValueError(
                f"layer_weights must have one number for each of {len(ours)} layers, got"
                f" {len(weights)}"
            )
        return torch.stack(
            [w * self.layer_distance(a, b) for w, a, b in zip(weights, ours, theirs, strict=True)]
        ).sum()

    def layer_distance(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """The distance of one layer's activations ``[B, F, ...]``."""
        if not self.normalize:
            return F.mse_loss(ours, theirs)
        return unit_difference(ours, theirs).mean()


class Style(Perceptual):
    """Distance of the Gram matrices of a frozen network's features, ``(output, target) -> scalar``.

    Gatys et al. 2016, eq. 3 to 5, in the units of Johnson et al. 2016, eq. 3 and 4: sum_l w_l E
    ||G(a_l) - G(b_l)||_F^2 with the Gram matrix G(a)_ij = mean over places of a_i a_j, divided by
    the number of channels. It measures textures and colors but no positions, so use it in addition
    to an adversarial or another reconstruction term.

    Args:
        features, layer_weights: as in `Perceptual`.
        normalize: whether activations are divided by their length; in the papers they are not.
    """

    def __init__(
        self,
        features: nn.Module | None = None,
        layer_weights: Sequence[Weight] | None = None,
        normalize: bool = False,
    ) -> None:
        super().__init__(features, layer_weights, normalize)

    def layer_distance(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """The squared distance of the Gram matrices of activations ``[B, F, ...]``."""
        if self.normalize:
            ours, theirs = (
                F.normalize(activations, dim=1, eps=1e-2) for activations in (ours, theirs)
            )
        return (gram(ours) - gram(theirs)).square().sum((1, 2)).mean()


def gram(activations: Tensor) -> Tensor:
    """The Gram matrix ``[B, F, F]`` of ``[B, F, ...]``: mean products over positions, over F."""
    rows = at_least_float32(activations)
    # Plain vectors count as maps of a single place.
    rows = rows.flatten(2) if rows.ndim > 2 else rows[:, :, None]
    with torch.autocast(rows.device.type, enabled=False):
        products: Tensor = rows @ rows.transpose(1, 2)
    return products / rows[0].numel()


# The number of the trunk's last layer of each stage.
_LITE0 = {
    "stem": 0,
    "stage1": 1,
    "stage2": 3,
    "stage3": 5,
    "stage4": 8,
    "stage5": 11,
    "stage6": 15,
    "stage7": 16,
}
_LITE0 |= {"head": 17}


class Lite0Features(nn.Module):
    """Activations of the packaged ImageNet EfficientNet-Lite0, differentiable by the images.

    Images ``[B, 1 or 3, H, W]`` in [-1, 1] to one tensor ``[B, F, h, w]`` for each layer, in the
    order of the network. Only what the deepest layer needs is kept.

    Args:
        layers: of ``stem, stage1, ..., stage7, head``; a stage's channels are 32 (stem), 16, 24,
            40, 80, 112, 192, 320 and 1,280 (head), its strides 2, 2, 4, 8, 16, 16, 32, 32 and 32.
        image_size: side the images are resized to (antialiased bilinear) before, or None to take
            them as they come. The network was trained at 224 pixels; below 64 its deeper stages see
            single places.
    """

    network_name: ClassVar[str] = "efficientnet_lite0"

    def __init__(
        self, layers: Sequence[str] = ("stage2", "stage3", "stage4"), image_size: Count | None = 64
    ) -> None:
        super().__init__()

        # A single name would be taken for a list of letters.
        unknown = (
            [layers] if isinstance(layers, str) else [name for name in layers if name not in _LITE0]
        )
        if unknown or not layers:
            raise ValueError(
                f"layers must be a list of {', '.join(_LITE0)}, got"
                f" {unknown[0] if unknown else []!r}"
            )
        if image_size is not None and image_size < 8:
            raise ValueError(f"image_size must be >= 8 or null, got {image_size}")

        # Each layer once, in the order of the network.
        self.image_size = image_size
        self.layers = tuple(sorted(set(layers), key=_LITE0.__getitem__))

        # The trunk is cut after each of them; what lies deeper is not kept.
        trunk = lite0()[0].to(memory_format=torch.channels_last)
        ends = [0, *(_LITE0[name] + 1 for name in self.layers)]
        self.parts = nn.ModuleList(trunk[start:end] for start, end in pairwise(ends))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The features of ``images``, from the first layer to the deepest."""
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be [B, 1 or 3, H, W], got shape {list(images.shape)}")

        # Differences of activations would be coarse in half precision.
        with torch.autocast(images.device.type, enabled=False):
            x = self.preprocess(images)
            features = []
            for part in self.parts:
                x = part(x)
                features.append(x)
        return features

    def extra_repr(self) -> str:
        return f"EfficientNet-Lite0, layers={','.join(self.layers)}, image_size={self.image_size}"

    def preprocess(self, images: Tensor) -> Tensor:
        """The network's input: three channels, resized, on the scale it was trained with."""
        x = images.to(next(self.parameters()).dtype).expand(-1, 3, -1, -1)
        if self.image_size is not None and x.shape[2:] != (self.image_size, self.image_size):
            x = F.interpolate(
                x, (self.image_size, self.image_size), mode="bilinear", antialias=True
            )
        # a pixel of 0..255 is 127.5 x + 127.5; the network takes (pixel - 127) / 128
        return ((127.5 * x + 0.5) / 128.0).contiguous(memory_format=torch.channels_last)
