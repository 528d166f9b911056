"""Losses and gradients that are no longer finite."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gan_zoo.core.distributed import mean_over_ranks, world_size
from gan_zoo.core.errors import TrainingDiverged
from gan_zoo.core.types import LossTerms
from gan_zoo.training.player import Player, gradient_norm


class DivergenceDetector:
    """Finds the step at which a term or a gradient stops being a finite number.

    On the CPU that is before the player steps, so its weights stay good. Waiting for a GPU at every step would cost
    more than it saves: there the numbers are kept, and looked through when something is reported or saved.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[int, list[str], Tensor]] = []

    def observe(self, player: Player, terms: LossTerms, total: Tensor, step: int) -> None:
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
            raise_if_not_finite(dict(zip(names, numbers, strict=False)), step)
            numbers = numbers[len(values) :]


def raise_if_not_finite(numbers: Mapping[str, float], step: int) -> None:
    """Raise `TrainingDiverged` naming the terms that are NaN or infinite."""
    bad = [f"{name} = {number}" for name, number in numbers.items() if not math.isfinite(number)]
    if bad:
        raise TrainingDiverged(f"training diverged at step {step}: {', '.join(bad)}")
