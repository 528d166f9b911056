"""How close translations come to their true partners, and back to where they came from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from gan_zoo.data.source import DataError, Source
from gan_zoo.metrics.base import Evaluator, Generated
from gan_zoo.types import Score

PAIRS = {
    "target_l1": ("sample", "target"),
    "unchanged_l1": ("input", "target"),
    "reverse_l1": ("reverse", "input"),
    "cycle_l1": ("cycled", "input"),
}


class Translation(Evaluator):
    """Mean absolute differences of pictures in [-1, 1], per value, on pictures that training does not see.

    ``target_l1``: translation and true partner; ``unchanged_l1``: input and true partner, what doing nothing earns;
    ``reverse_l1``: the way back from the true partner; ``cycle_l1``: there and back. Those that the game or the data
    cannot give are left out.

    Args:
        num_samples: pictures that are translated.
    """

    def __init__(self, num_samples: int = 256) -> None:
        if num_samples < 1:
            raise ValueError(f"metric.translation.num_samples must be >= 1, got {num_samples}")
        self.num_samples = num_samples
        self.best = "target_l1", "min"

    def prepare(self, source: Source, device: torch.device, needs: Sequence[str] = ()) -> None:
        if source.condition_kind != "image":
            raise DataError(f"metric=translation compares pictures with pictures, data={source.name} has one domain")
        self.split, self.name, self.device = source.told().split, source.name, device
        self.means: dict[str, MeanMetric] = {}

    def update(self, generated: Generated) -> None:
        views = generated.views
        for name, (first, second) in PAIRS.items():
            if first in views and second in views and views[first].shape == views[second].shape:
                mean = self.means.setdefault(name, MeanMetric().to(self.device))
                mean.update(distance(views[first], views[second]))

    def compute(self) -> list[Score]:
        protocol = {"data": self.name, "split": self.split, "num_generated": self.num_samples, "range": "[-1, 1]"}
        return [Score(name, float(mean.compute()), protocol) for name, mean in self.means.items()]


def distance(first: Tensor, second: Tensor) -> Tensor:
    """The mean absolute difference of each pair of pictures, ``[B]``."""
    return (first - second).abs().flatten(1).mean(1)
