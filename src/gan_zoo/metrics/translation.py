"""How close translations come to their true partners, and back to where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.metrics.base import Evaluator, Generated, Score

PAIRS = {
    "target_l1": ("sample", "target"),
    "unchanged_l1": ("input", "target"),
    "reverse_l1": ("reverse", "input"),
    "cycle_l1": ("cycled", "input"),
}


class Distances(Metric):
    """Sums and numbers of the distances of `PAIRS`, ``[2, 4]``."""

    full_state_update = False
    tally: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("tally", torch.zeros(2, len(PAIRS)), dist_reduce_fx="sum")

    def update(self, views: dict[str, Tensor]) -> None:
        """Count the pairs that are among ``views``."""
        for column, (first, second) in enumerate(PAIRS.values()):
            if first in views and second in views and views[first].shape == views[second].shape:
                away = distance(views[first], views[second])
                self.tally[:, column] += torch.stack([away.sum(), away.new_tensor(len(away))])

    def compute(self) -> Tensor:
        """The tally of all pairs so far."""
        return self.tally


class Translation(Evaluator):
    """Mean absolute differences of pictures in [-1, 1], per value, on pictures that training does not see.

    ``target_l1``: translation and true partner; ``unchanged_l1``: input and true partner, what doing nothing earns;
    ``reverse_l1``: the way back from the true partner; ``cycle_l1``: there and back. Those that the model or the data
    cannot give are left out.

    Args:
        num_samples: pictures that are translated.
    """

    def __init__(self, num_samples: int = 256) -> None:
        if num_samples < 1:
            raise ValueError(f"metric.translation.num_samples must be >= 1, got {num_samples}")
        self.num_samples = num_samples
        self.best = "target_l1", "min"

    def check(self, source: Source, needs: Sequence[str] = (), num_requested_labels: int | None = None) -> None:
        if source.condition_kind != "image":
            raise DataError(f"metric=translation compares pictures with pictures, data={source.name} has one domain")

    def prepare(self, source: Source, device: torch.device, needs: Sequence[str] = ()) -> None:
        self.check(source, needs)
        self.split, self.name = source.told().split, source.name
        self.distances = Distances().to(device)
        self.distances.update({})  # processes that get no block take part in the sum, too

    def update(self, generated: Generated) -> None:
        self.distances.update(dict(generated.views))

    def compute(self) -> list[Score]:
        shared = {"data": self.name, "split": self.split, "range": "[-1, 1]"}
        tally = zip(PAIRS, *self.distances.compute().tolist(), strict=True)
        return [Score(name, total / num, shared | {"num_generated": int(num)}) for name, total, num in tally if num]


def distance(first: Tensor, second: Tensor) -> Tensor:
    """The mean absolute difference of each pair of pictures, ``[B]``."""
    return (first - second).abs().flatten(1).mean(1)
