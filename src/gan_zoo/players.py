"""A player of the game as the training step sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_zoo.compiling import eager
from gan_zoo.distributed import mean_over_ranks, world_size
from gan_zoo.types import Terms

SMALL = 4096  # numbers


class TrainingDiverged(RuntimeError):
    """A loss, a gradient or a weight is no longer a finite number."""


@dataclass(slots=True)
class Player:
    """A player as the training step knows it.

    Attributes:
        name: in messages.
        parameters: all that it trains.
        optimizer: minimises over them.
        step: steps the optimizer.
        gradient_norm: of the last gradient before clipping, where gradients are clipped.
        sentinels: small parameters, whose gradients are looked at in every step: a backward pass that leaves the
            finite numbers anywhere reaches biases and normalisations on its way, and these are cheap to read.
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


def full_precision(device: torch.device) -> torch.autocast:
    """Within the block nothing is rounded to bfloat16: in mixed precision networks may be, losses may not."""
    return torch.autocast(device.type, enabled=False)


@contextmanager
def at_rest(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block ``network`` on ``device`` does not train: evaluation mode, no gradients, full precision."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), full_precision(device), eager():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The Euclidean norm of all gradients that these parameters have; zero if they have none yet."""
    parameters = list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=parameters[0].device)
    norm: Tensor = torch.stack(torch._foreach_norm(gradients)).norm()
    return norm


class Watch:
    """Finds the step at which a term or a gradient stops being a finite number.

    On the CPU that is before the player steps, so its weights stay good. Waiting for a GPU at every step would cost
    more than it saves: there the numbers are kept, and looked through when something is reported or saved.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[int, list[str], Tensor]] = []

    def observe(self, player: Player, terms: Terms, total: Tensor, step: int) -> None:
        """Look at the terms of a turn, their sum, and the gradients of the player's sentinels.

        Raises:
            TrainingDiverged: naming player and term.
        """
        gradient = gradient_norm(player.sentinels)
        if gradient.device.type == "cpu":
            # Gradients are averaged over processes, so all of them find this at the same step.
            own = 0.0 if world_size() > 1 else float(total.detach())
            if math.isfinite(own + float(gradient)):
                return
        names = [*terms, f"gradient of the {player.name}"]
        self._kept.append((step, names, torch.stack([*(t.detach().float() for t in terms.values()), gradient])))
        if gradient.device.type == "cpu":
            self.look()

    def look(self) -> None:
        """Look through what was kept; all processes at once.

        Raises:
            TrainingDiverged: naming the first step, player and terms.
        """
        kept, self._kept = self._kept, []
        if not kept:
            return
        numbers = mean_over_ranks(torch.cat([values for _, _, values in kept])).tolist()
        for step, names, values in kept:
            stop_if_not_finite(dict(zip(names, numbers, strict=False)), step)
            numbers = numbers[len(values) :]


def stop_if_not_finite(numbers: Mapping[str, float], step: int) -> None:
    """Raise `TrainingDiverged` naming the terms that are NaN or infinite."""
    bad = [f"{name} = {number}" for name, number in numbers.items() if not math.isfinite(number)]
    if bad:
        raise TrainingDiverged(f"training diverged at step {step}: {', '.join(bad)}")
