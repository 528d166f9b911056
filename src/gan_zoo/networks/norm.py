"""Normalisation by name, the one option critics share."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_zoo.networks.instance_norm import InstanceNorm

NormFactory = Callable[[int], nn.Module]

_NORMS: dict[str, NormFactory] = {
    "batch": nn.BatchNorm2d,
    "instance": InstanceNorm,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "spectral": lambda _: nn.Identity(),
    "none": lambda _: nn.Identity(),
}


def norm_layer(norm: str) -> NormFactory:
    """A factory ``channels -> layer`` for feature maps ``[B, C, H, W]``.

    Args:
        norm: ``batch``, ``layer`` (over C, H, W of each sample), ``instance``, ``none``; ``spectral`` normalises
            weights instead of activations (see `maybe_spectral`), so its layer does nothing.

    Raises:
        ValueError: for any other name.
    """
    if norm not in _NORMS:
        raise ValueError(f"norm must be one of {', '.join(_NORMS)}, got {norm!r}")
    return _NORMS[norm]


def maybe_spectral(layer: nn.Module, norm: str) -> nn.Module:
    """``layer`` with its weight divided by its largest singular value if ``norm`` is ``spectral`` (Miyato 2018)."""
    return spectral_norm(layer) if norm == "spectral" else layer
