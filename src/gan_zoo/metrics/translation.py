"""Distances of translations to their true partners, and of reconstructions to the inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult
from gan_zoo.models.base import Model

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

    def update(self, visuals: dict[str, Tensor]) -> None:
        """Count the pairs that are among ``visuals``."""
        for column, (first, second) in enumerate(PAIRS.values()):
            # Models without a reverse direction or a cycle lack some of the images.
            if (
                first in visuals
                and second in visuals
                and visuals[first].shape == visuals[second].shape
            ):
                away = distance(visuals[first], visuals[second])
                self.tally[:, column] += torch.stack([away.sum(), away.new_tensor(len(away))])

    def compute(self) -> Tensor:
        """The tally of all pairs so far."""
        return self.tally


class Translation(Evaluator):
    """Mean absolute differences of images in [-1, 1], per value, on images that training does not
    see.

    ``target_l1``: translation and true partner; ``unchanged_l1``: input and true partner, the value
    for doing nothing; ``reverse_l1``: the reverse translation of the true partner; ``cycle_l1``:
    the reconstruction. Those that are not defined for the model or the data are left out.

    Args:
        num_samples: images that are translated.
    """

    def __init__(self, num_samples: int = 256) -> None:
        if num_samples < 1:
            raise ValueError(f"metric.translation.num_samples must be >= 1, got {num_samples}")
        self.num_samples = num_samples
        self.best = "target_l1", "min"

    def check(self, source: Source, model: Model | None = None) -> None:
        if source.condition_kind != "image":
            raise DataError(
                f"metric=translation compares images with images, data={source.name} has one domain"
            )

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.split = source.evaluation_split().split
        self.name = source.name
        self.distances = Distances().to(device)
        self.distances.update({})  # processes that get no block take part in the sum, too

    def update(self, generated: Generated) -> None:
        self.distances.update(dict(generated.visuals))

    def compute(self) -> list[MetricResult]:
        shared = {"data": self.name, "split": self.split, "range": "[-1, 1]"}
        tally = zip(PAIRS, *self.distances.compute().tolist(), strict=True)
        return [
            MetricResult(name, total / num, shared | {"num_generated": int(num)})
            for name, total, num in tally
            if num
        ]


def distance(first: Tensor, second: Tensor) -> Tensor:
    """The mean absolute difference of each pair of images, ``[B]``."""
    return (first - second).abs().flatten(1).mean(1)
