"""Layers that are not trained."""

from __future__ import annotations

from torch import nn

from gan_zoo.core.layers import has_weight_matrix, own_parameters


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
