"""Detection of losses and gradients that are NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gan_zoo.core.distributed import mean_over_ranks, world_size
from gan_zoo.core.errors import TrainingDiverged
from gan_zoo.core.types import LossTerms


class DivergenceDetector:
    """Finds the step at which a loss term or a gradient stops being a finite number.

    On the CPU that is before the optimizer steps, so the weights stay good. Waiting for a GPU in
    every step would cost more than it saves: there the numbers are kept, and checked when something
    is logged or saved.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[int, list[str], Tensor]] = []

    def check(
        self, side: str, terms: LossTerms, total: Tensor, gradient_norm: Tensor, step: int
    ) -> None:
        """Check the terms of one side, their sum, and the norm of its monitored gradients.

        Raises:
            TrainingDiverged: naming the side and the term.
        """
        on_cpu = gradient_norm.device.type == "cpu"
        if on_cpu:
            # Gradients are averaged over processes, so all of them find this at the same step.
            local_total = 0.0 if world_size() > 1 else float(total.detach())
            if math.isfinite(local_total + float(gradient_norm)):
                return

        # On a CPU this step is known to have failed, and is checked at once for the term to blame.
        names = [*terms, f"gradient of the {side}"]
        self._kept.append(
            (
                step,
                names,
                torch.stack([*(t.detach().float() for t in terms.values()), gradient_norm]),
            )
        )
        if on_cpu:
            self.flush()

    def flush(self) -> None:
        """Check what was kept; called by all processes at once.

        Raises:
            TrainingDiverged: naming the first step, the side and the terms.
        """
        kept = self._kept
        self._kept = []
        if not kept:
            return

        # One transfer from the device for all that was kept.
        numbers = mean_over_ranks(torch.cat([values for _, _, values in kept])).tolist()
        for step, names, values in kept:
            # The first numbers belong to this step, the rest to later ones.
            raise_if_not_finite(dict(zip(names, numbers, strict=False)), step)
            numbers = numbers[len(values) :]


def raise_if_not_finite(numbers: Mapping[str, float], step: int) -> None:
    """Raise `TrainingDiverged` naming the terms that are NaN or infinite."""
    bad = [f"{name} = {number}" for name, number in numbers.items() if not math.isfinite(number)]
    if bad:
        raise TrainingDiverged(f"training diverged at step {step}: {', '.join(bad)}")
