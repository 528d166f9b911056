"""Learning-rate factors as functions of progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

from gan_zoo.core.types import Fraction, Share

Schedule = Callable[[float], float]
"""Maps the fraction of training done, in [0, 1], to a factor on the learning rate."""


@dataclass(frozen=True)
class ConstantThenLinear:
    """1 until ``start``, then linear to ``final`` at the end (Zhu et al. 2017, section 4 of the
    appendix).
    """

    start: Share = 0.5
    final: Fraction = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise ValueError(f"start must be in [0, 1), got {self.start}")

    def __call__(self, progress: float) -> float:
        decayed = max(0.0, progress - self.start) / (1 - self.start)
        return 1 + (self.final - 1) * min(1.0, decayed)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to ``final``."""

    final: Fraction = 0.0

    def __call__(self, progress: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class LearningRates:
    """The factor on both learning rates: a pure function of progress, times a scale that divergence
    lowers.

    Args:
        schedule: factor as a function of progress, or None for 1.
        horizon: steps over which progress goes from 0 to 1; None for those that the run is begun
            with.

    Attributes:
        lr_scale: a further factor, below 1 after divergence.
    """

    def __init__(self, schedule: Schedule | None = None, horizon: int | None = None) -> None:
        self.schedule = schedule
        self.horizon = horizon
        self.lr_scale = 1.0

    def factor(self, step: int, max_steps: int) -> float:
        """The factor at ``step``; beyond the horizon it stays what it is there."""
        if self.schedule is None:
            return self.lr_scale
        return self.lr_scale * self.schedule(min(1.0, step / (self.horizon or max_steps)))

    def apply(self, optimizers: Sequence[Optimizer], step: int, max_steps: int) -> None:
        """Set the learning rates for ``step``."""
        if self.schedule is None and self.lr_scale == 1:
            return
        factor = self.factor(step, max_steps)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def resume(self, saved: int | None, max_steps: int) -> None:
        """Keep the horizon that a run was started with, and report it where the run is now
        extended.

        Args:
            saved: the horizon in the checkpoint; None in old ones.
            max_steps: of the resumed run.

        Raises:
            ValueError: if the learning rate is 0 beyond the horizon.
        """
        # A horizon that was asked for comes first.
        if self.schedule is None or self.horizon is not None or saved is None:
            return
        self.horizon = saved
        if max_steps <= saved:
            return

        # The run goes beyond the horizon: the message says how to stretch the schedule instead.
        stretched = self.schedule(saved / max_steps)
        stays = f"the learning rates' schedule ends at step {saved:,}"
        remedy = (
            f"optim.horizon={max_steps} stretches it, to {stretched:g} of the first rates at step"
            f" {saved:,}"
        )

        # Rates of 0 in all further steps are an error, others are worth a notice.
        if self.schedule(1.0) == 0:
            raise ValueError(
                f"{stays} with rates of 0, so trainer.max_steps={max_steps} would learn nothing:"
                f" {remedy}"
            )
        print(
            f"{stays} and they stay at {self.schedule(1.0):g} of the first from there; {remedy}",
            flush=True,
        )
