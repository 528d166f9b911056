"""Norms of gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The Euclidean norm of all gradients that these parameters have; zero if they have none
    yet.
    """
    parameters = list(parameters)
    norms = gradient_norms(parameters)
    if not norms:
        return torch.zeros((), device=parameters[0].device)
    # The norm of all norms is that of the gradients together.
    norm: Tensor = torch.stack(norms).norm()
    return norm


def gradient_norms(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """The Euclidean norm of each gradient that these parameters have."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return list(torch._foreach_norm(gradients)) if gradients else []
