"""The distance of pairs of images as a frozen network sees them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.networks.pretrained.perceptual import unit_difference


def perceptual_distance(features: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """The distance of each pair, ``[B]``: the sum over layers of the mean `unit_difference` over
    places.

    Args:
        features: images ``[B, C, H, W]`` in [-1, 1] to a list of activations ``[B, F, ...]``.
        first, second: images.
    """
    of_layers = []
    for activations in features(torch.cat([first, second])):
        ours, theirs = activations.chunk(2)
        of_layers.append(unit_difference(ours, theirs).reshape(len(first), -1).mean(1))
    return torch.stack(of_layers).sum(0)


def description(features: nn.Module) -> str:
    """What the distance is, for protocols."""
    network = f"{type(features).__name__}({features.extra_repr()})"
    return f"activations of unit length (Zhang et al. 2018, eq. 1, weights 1) of {network}"


def check_images(source: Source, metric: str) -> None:
    """Raise `DataError` unless the data are images that the network sees."""
    if not source.holds_images:
        raise DataError(
            f"metric={metric} compares gray or RGB images, data={source.name} has shape"
            f" {source.sample_shape}"
        )
