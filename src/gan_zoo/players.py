"""A player of the game as the training step sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class TrainingDiverged(RuntimeError):
    """A loss, a gradient or a weight is no longer a finite number."""


@dataclass(slots=True)
class Player:
    """A player's parameters, its optimizer, and the call that steps it."""

    parameters: list[nn.Parameter]
    optimizer: Optimizer
    step: Callable[[], Any]


@contextmanager
def frozen(networks: nn.Module) -> Iterator[None]:
    """Within the block no gradient is computed for these weights; gradients still flow through them to the inputs."""
    trained = [p for p in networks.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def gradient_norm(player: Player) -> Tensor:
    """The Euclidean norm of all gradients of the player's last step; zero before its first."""
    gradients = [p.grad for p in player.parameters if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=player.parameters[0].device)
    norm: Tensor = torch.stack(torch._foreach_norm(gradients)).norm()
    return norm


def stop_if_not_finite(numbers: Mapping[str, float], step: int) -> None:
    """Raise `TrainingDiverged` naming the terms that are NaN or infinite."""
    bad = [f"{name} = {number}" for name, number in numbers.items() if not math.isfinite(number)]
    if bad:
        raise TrainingDiverged(f"training diverged by step {step}: {', '.join(bad)}")
