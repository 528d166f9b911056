"""Networks with layers in common."""

from __future__ import annotations

from typing import Literal

from torch import nn

from gan_zoo.core.layers import has_weight_matrix, own_parameters


def share_layers(
    source: nn.Module, target: nn.Module, end: Literal["first", "last"], count: int
) -> None:
    """Replace ``count`` layers at one end of ``target`` by those of ``source``.

    Layers are convolutions and linear maps. Normalizations up to the next layer are shared with the
    layer before them.

    Args:
        source, target: networks made alike.
        end: which layers, in the order in which the networks register them.
        count: how many, >= 0.

    Raises:
        ValueError: unless ``target`` keeps at least one layer of its own.
    """
    # Modules with parameters, and where among them the layers are.
    names = [name for name, module in source.named_modules() if _has_parameters(name, module)]
    starts = [
        place for place, name in enumerate(names) if has_weight_matrix(source.get_submodule(name))
    ]
    if not 0 <= count < len(starts):
        kind = "generator" if end == "first" else "discriminator"
        raise ValueError(
            f"shared_{kind}_layers must be 0 to {len(starts) - 1} for {type(source).__name__}, got"
            f" {count}"
        )

    # A layer begins where it is registered and ends before the next one.
    borders = [0, *starts[1:], len(names)]
    chosen = names[: borders[count]] if end == "first" else names[borders[len(starts) - count] :]
    for name in chosen:
        parent, _, attribute = name.rpartition(".")
        setattr(target.get_submodule(parent), attribute, source.get_submodule(name))


def _has_parameters(name: str, module: nn.Module) -> bool:
    """Whether this very module has parameters; parametrizations belong to their layer."""
    return "parametrizations" not in name.split(".") and bool(own_parameters(module))
