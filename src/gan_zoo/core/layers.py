"""Layers of a network, in the order in which it registers them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized


def has_weight_matrix(module: nn.Module) -> bool:
    """Whether this very module is a convolution or a linear map."""
    if is_parametrized(module, "weight"):  # reading the weight would update spectral normalization
        return True
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    return isinstance(weight, Tensor) and weight.ndim >= 2


def own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of this very module, those behind a parametrization included."""
    own = list(module.parameters(recurse=False))
    if is_parametrized(module, "weight"):
        own += list(module.parametrizations.parameters())  # type: ignore[union-attr]
    return own
