"""Learning-rate factors as functions of progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gan_zoo.core.types import Fraction, Share

Schedule = Callable[[float], float]
"""Maps the share of training done, in [0, 1], to a factor on the learning rate."""


@dataclass(frozen=True)
class ConstantThenLinear:
    """1 until ``start``, then linear to ``final`` at the end (Zhu et al. 2017, section 4 of the appendix)."""

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
