"""Compilation of networks, where it does not change the mathematics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from gan_zoo.models.base import Model
from gan_zoo.regularizers.base import Regularizer


def compile_networks(model: Model, regularizers: Iterable[Regularizer], options: Mapping[str, Any]) -> list[str]:
    """Compile the networks of ``model`` in place; their names in a state dict stay.

    Discriminators that training differentiates twice (gradient penalties, R1, R2) stay as they are: `torch.compile`
    cannot differentiate twice.

    Args:
        model: its networks are compiled.
        regularizers: of the discriminators.
        options: arguments of `torch.compile`.

    Returns:
        The names of the networks that are compiled.
    """
    groups: dict[str, nn.ModuleDict] = {"generators": model.generators}
    if not any(regularizer.second_order for regularizer in regularizers):
        groups["discriminators"] = model.discriminators
    for networks in groups.values():
        for network in networks.values():
            network.compile(**options)
    return [f"{group}.{name}" for group, networks in groups.items() for name in networks]
