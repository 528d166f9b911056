"""The players' networks compiled, where that is the same mathematics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from gan_zoo.models.base import Game
from gan_zoo.regularizers.base import Regularizer


def compile_networks(game: Game, regularizers: Iterable[Regularizer], options: Mapping[str, Any]) -> list[str]:
    """Compile the networks of ``game`` in place; their names in a state dict stay.

    Critics that training differentiates twice (gradient penalties, R1, R2) stay as they are: `torch.compile` cannot
    differentiate twice.

    Args:
        game: its networks are compiled.
        regularizers: of the critics.
        options: arguments of `torch.compile`.

    Returns:
        The names of the networks that are compiled.
    """
    players: dict[str, nn.ModuleDict] = {"generators": game.generators}
    if not any(regularizer.second_order for regularizer in regularizers):
        players["discriminators"] = game.discriminators
    for networks in players.values():
        for network in networks.values():
            network.compile(**options)
    return [f"{player}.{name}" for player, networks in players.items() for name in networks]
