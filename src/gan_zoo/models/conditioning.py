"""How conditions enter generators."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn


class ConcatenatedCondition(nn.Module):
    """A generator of latents alone that gets the condition's vector after the latents.

    Args:
        network: maps ``[B, latent_dim + condition_dim]`` to samples.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor, condition: Tensor) -> Tensor:
        samples: Tensor = self.network(torch.cat([latents, condition], 1))
        return samples


def conditional_generator(
    generator: Callable[..., nn.Module], latent_dim: int, condition_dim: int
) -> nn.Module:
    """A network called with ``(latents [B, latent_dim], condition [B, condition_dim])``.

    A factory whose signature has ``condition_dim`` gets it, and decides where the condition enters;
    for any other the condition is concatenated to the latents.
    """
    if accepts(generator, "condition_dim"):
        return generator(latent_dim=latent_dim, condition_dim=condition_dim)
    return ConcatenatedCondition(generator(latent_dim=latent_dim + condition_dim))


def accepts(factory: Callable[..., nn.Module], argument: str) -> bool:
    """Whether ``factory`` has a parameter of this name; ``**kwargs`` do not count."""
    return argument in inspect.signature(factory).parameters
