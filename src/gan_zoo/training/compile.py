"""Compilation of networks, where it does not change the mathematics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from gan_zoo.models.base import Model
from gan_zoo.regularizers.base import GeneratorRegularizer, Regularizer


def compile_networks(
    model: Model, parts: Iterable[nn.Module], options: Mapping[str, Any], unroll: bool = False
) -> list[str]:
    """Compile the networks of ``model`` in place; their names in a state dict stay.

    Networks that training differentiates twice (gradient penalties, R1, R2, path length, LOGAN,
    unrolled discriminators) stay as they are: `torch.compile` cannot differentiate twice.

    Args:
        model: its networks are compiled.
        parts: among them the regularizers of both sides.
        options: arguments of `torch.compile`.
        unroll: whether discriminators are unrolled.

    Returns:
        The names of the networks that are compiled.
    """
    regularizers = [part for part in parts if isinstance(part, (Regularizer, GeneratorRegularizer))]

    # A side is compiled unless something needs second derivatives of it.
    twice = {"generators": model.needs_double_backward}
    twice["discriminators"] = model.needs_double_backward or unroll
    for regularizer in regularizers:
        of_generators = isinstance(regularizer, GeneratorRegularizer)
        side = "generators" if of_generators else "discriminators"
        twice[side] |= regularizer.needs_double_backward
    groups = {side: getattr(model, side) for side, is_twice in twice.items() if not is_twice}
    for networks in groups.values():
        for network in networks.values():
            network.compile(**options)
    return [f"{group}.{name}" for group, networks in groups.items() for name in networks]
