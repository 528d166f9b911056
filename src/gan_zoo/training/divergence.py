"""Detection of losses and gradients that are NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
        self._kept: list[tuple[int, str, list[str], Tensor]] = []

    def check(
        self,
        side: str,
        terms: LossTerms,
        total: Tensor,
        gradient_norms: Sequence[Tensor],
        step: int,
    ) -> None:
        """Check the terms of one side, their sum, and the norms of its monitored gradients.

        Raises:
            TrainingDiverged: naming the side and the term.
        """
        on_cpu = total.device.type == "cpu"
        if on_cpu:
            # Gradients are averaged over processes, so all of them find this at the same step.
            local_total = 0.0 if world_size() > 1 else float(total.detach())
            if gradient_norms:
                gradient_norms = [torch.stack(list(gradient_norms)).norm()]
            if math.isfinite(local_total + sum(map(float, gradient_norms))):
                return

        # On a CPU this step is known to have failed, and is checked at once for the term to blame.
        values = [value.detach().float() for value in (*terms.values(), *gradient_norms)]
        self._kept.append((step, side, list(terms), torch.stack(values)))
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
        numbers = mean_over_ranks(torch.cat([values for *_, values in kept])).tolist()
        for step, side, names, values in kept:
            # The first numbers belong to this step, the rest to later ones: terms, then gradients.
            own = dict(zip(names, numbers, strict=False))
            own[f"gradient of the {side}"] = math.hypot(*numbers[len(names) : len(values)])
            raise_if_not_finite(own, step)
            numbers = numbers[len(values) :]


def raise_if_not_finite(numbers: Mapping[str, float], step: int) -> None:
    """Raise `TrainingDiverged` naming the terms that are NaN or infinite."""
    bad = [f"{name} = {number}" for name, number in numbers.items() if not math.isfinite(number)]
    if bad:
        raise TrainingDiverged(f"training diverged at step {step}: {', '.join(bad)}")
