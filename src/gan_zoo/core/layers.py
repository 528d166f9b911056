"""Layers and weights of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
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


class WithWeights(nn.Module):
    """A network called with other weights; its running statistics stay as they are.

    Args:
        network: the network.
        weights: its parameters by name.
    """

    def __init__(self, network: nn.Module, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = [network]  # in a list: not registered
        self.weights = dict(weights)

    def forward(self, *inputs: Any) -> Any:
        (network,) = self.network
        # Updates of running statistics go to the clones.
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        return functional_call(network, self.weights | buffers, inputs)
