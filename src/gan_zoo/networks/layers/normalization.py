"""Normalization by name, of activations and of weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from gan_zoo.networks.layers.instance_norm import InstanceNorm

NormFactory = Callable[[int], nn.Module]

_NORMS: dict[str, NormFactory] = {
    "batch": nn.BatchNorm2d,
    "instance": InstanceNorm,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "spectral": lambda _: nn.Identity(),
    "none": lambda _: nn.Identity(),
}
NORMS = (*_NORMS, *(f"spectral+{name}" for name in ("batch", "instance", "layer")))
SLICED = "sliced+"
"""Before the name of a norm: the last layer of a discriminator is sliced, see `Heads`."""


def norm_layer(norm: str) -> NormFactory:
    """A factory ``channels -> layer`` for feature maps ``[B, C, H, W]``.

    Args:
        norm: ``batch``, ``layer`` (over C, H, W of each sample), ``instance``, ``none``;
            ``spectral`` normalizes weights instead of activations (see `apply_spectral_norm`), so
            its layer does nothing. ``spectral+batch``, ``spectral+layer`` and ``spectral+instance``
            do both. ``sliced+`` before any of them concerns the score of `Heads`.

    Raises:
        ValueError: for any other name.
    """
    return _NORMS[activation_norm(norm)]


def activation_norm(norm: str) -> str:
    """The normalization of activations in ``norm``, without ``spectral``; checks the name."""
    norm = norm.removeprefix(SLICED)
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    name = norm.removeprefix("spectral+")
    return "none" if name == "spectral" else name


def needs_bias(norm: str) -> bool:
    """Whether a layer before ``norm`` needs a bias: no normalization removes it."""
    return activation_norm(norm) == "none"


def apply_spectral_norm(layer: nn.Module, norm: str) -> nn.Module:
    """``layer`` with its weight divided by its largest singular value if ``norm`` has ``spectral``.

    Miyato 2018.

    The singular value is that of the weight at this moment: call `initialize` after changing the
    weights.
    """
    return spectral_norm(layer) if norm.removeprefix(SLICED).startswith("spectral") else layer


def initialize(network: nn.Module, init: Callable[[nn.Module], None]) -> None:
    """Apply ``init`` to every layer of ``network``, in place.

    Spectral normalization estimates the largest singular value by power iterations, 15 of them when
    it is made and one in each training pass. It is removed and applied again here, so that the
    estimate is that of the weights that training starts from: with that of the old weights, layers
    would start with a gain other than 1.
    """
    normalized = [layer for layer in network.modules() if is_parametrized(layer, "weight")]
    for layer in normalized:
        remove_parametrizations(layer, "weight", leave_parametrized=False)
    network.apply(init)
    for layer in normalized:
        spectral_norm(layer)
