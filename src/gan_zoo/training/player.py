"""A player of the model as the training step sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

SMALL = 4096  # numbers


@dataclass(slots=True)
class Player:
    """A player as the training step knows it.

    Attributes:
        name: in messages.
        parameters: all that it trains.
        optimizer: minimizes over them.
        step: steps the optimizer.
        gradient_norm: of the last gradient before clipping, where gradients are clipped.
        sentinels: small parameters, whose gradients are looked at in every step: a backward pass that leaves the
            finite numbers anywhere reaches biases and normalizations on its way, and these are cheap to read.
    """

    name: str
    parameters: list[nn.Parameter]
    optimizer: Optimizer
    step: Callable[[], Any]
    gradient_norm: Tensor = field(init=False)
    sentinels: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        self.gradient_norm = torch.zeros((), device=self.parameters[0].device)
        smallest = min(self.parameters, key=nn.Parameter.numel)
        self.sentinels = [p for p in self.parameters if p.numel() <= SMALL or p is smallest]


def full_precision(device: torch.device) -> torch.autocast:
    """Within the block nothing is rounded to bfloat16: in mixed precision networks may be, losses may not."""
    return torch.autocast(device.type, enabled=False)


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The Euclidean norm of all gradients that these parameters have; zero if they have none yet."""
    parameters = list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=parameters[0].device)
    norm: Tensor = torch.stack(torch._foreach_norm(gradients)).norm()
    return norm
