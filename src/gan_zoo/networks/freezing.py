"""Layers that are not trained."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized


def freeze_first_layers(network: nn.Module, count: int) -> nn.Module:
    """``network`` whose first ``count`` convolutions or linear maps are not trained.

    FreezeD, Mo et al. 2020.

    Layers count in the order in which the network registers them; normalizations up to the next
    layer are frozen with them.

    Raises:
        ValueError: unless at least one layer is left to train.
    """
    layers = [module for module in network.modules() if has_weight_matrix(module)]
    if not 0 <= count < len(layers):
        raise ValueError(
            f"freeze_discriminator must be 0 to {len(layers) - 1} for {type(network).__name__}, got"
            f" {count}"
        )

    # Everything that comes before the first trained layer.
    trained = layers[count]
    for module in network.modules():
        if module is trained:
            break
        for parameter in own_parameters(module):
            parameter.requires_grad_(False)
    return network


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
