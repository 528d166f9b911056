"""How often generated samples are what was asked for, judged by networks trained on real data alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.metrics.base import Evaluator, Generated, Score
from gan_zoo.metrics.reference_classifier import check_labelled, classifier
from gan_zoo.metrics.retrieval import Retrieval

MAX_CODES = 256


class Contingency(Metric):
    """How often each intent met each class, ``[intents, classes]`` whole numbers."""

    full_state_update = False
    table: Tensor

    def __init__(self, intents: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("table", torch.zeros(intents, classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, requested_label: Tensor, found: Tensor) -> None:
        """Count pairs of class numbers ``[B]``."""
        intents, classes = self.table.shape
        self.table += torch.bincount(requested_label * classes + found, minlength=intents * classes).view(
            intents, classes
        )

    def compute(self) -> Tensor:
        """The table of all pairs so far."""
        return self.table


class ClassMatch(Evaluator):
    """``condition_match``: the share of samples in which a classifier finds the class that was asked for.

    The classifier is trained once on the real training pictures and cached; its accuracy on real held-out pictures,
    the most that can be hoped for, is part of the protocol. The model's discriminators have no say.

    Args:
        num_samples: generated samples.
    """

    name = "condition_match"

    def __init__(self, num_samples: int = 2560) -> None:
        if num_samples < 1:
            raise ValueError(f"metric.{self.name}.num_samples must be >= 1, got {num_samples}")
        self.num_samples = num_samples
        self.best = self.name, "max"

    def check(self, source: Source, needs: Sequence[str] = (), num_requested_labels: int | None = None) -> None:
        check_labelled(source)
        if num_requested_labels is None:
            raise DataError(f"metric={self.name} is for models that are asked for a class or a code, this one is not")

    def prepare(self, source: Source, device: torch.device, needs: Sequence[str] = ()) -> None:
        self.classifier, self.accuracy = classifier(source, device, self.training_steps)
        assert source.num_classes is not None
        self.source = source
        self.counts = Contingency(max(MAX_CODES, source.num_classes), source.num_classes).to(device)

    def update(self, generated: Generated) -> None:
        if generated.requested_label is None:
            raise DataError(f"metric={self.name} is for models that are asked for a class or a code, this one is not")
        self.counts.update(generated.requested_label, self.classifier(to_uint8(generated.samples)).argmax(1))

    def compute(self) -> list[Score]:
        table = self.counts.compute()
        protocol = {
            "data": self.source.name,
            "judge": "classifier trained on the real training pictures",
            "judge_accuracy_on_real": self.accuracy,
            "num_generated": int(table.sum()),
        }
        return [Score(self.name, self.agreement(table), protocol)]

    def agreement(self, table: Tensor) -> float:
        """The share on the diagonal."""
        return float(table.diagonal().sum() / table.sum())


class CodeMatch(ClassMatch):
    """``code_match``: Hungarian accuracy, the share of samples whose class agrees with their code under the best
    one-to-one assignment of codes to classes.
    """

    name = "code_match"

    def agreement(self, table: Tensor) -> float:
        """The share on the best diagonal (Kuhn 1955)."""
        from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]

        counts = table.cpu().numpy()
        return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / counts.sum())


class ConditionMatch(Evaluator):
    """How well samples match what they were asked for: `ClassMatch` for classes, `Retrieval` for other conditions.

    Args:
        num_samples: generated samples.
    """

    best = "condition_match", "max"

    def __init__(self, num_samples: int = 2560) -> None:
        self.num_samples = num_samples
        self.judges = ClassMatch(num_samples), Retrieval(num_samples)

    def check(self, source: Source, needs: Sequence[str] = (), num_requested_labels: int | None = None) -> None:
        self.choose(needs).check(source, needs, num_requested_labels)

    def choose(self, needs: Sequence[str]) -> Evaluator:
        """The evaluator for what a model with these ``needs`` is told."""
        by_class, by_retrieval = self.judges
        for run_discriminator in self.judges:
            run_discriminator.num_samples = self.num_samples
            run_discriminator.training_steps = self.training_steps
        return by_retrieval if {"text", "vector", "image"} & set(needs) else by_class

    def prepare(self, source: Source, device: torch.device, needs: Sequence[str] = ()) -> None:
        self.run_discriminator = self.choose(needs)
        self.best = self.run_discriminator.best
        self.run_discriminator.prepare(source, device, needs)

    def update(self, generated: Generated) -> None:
        self.run_discriminator.update(generated)

    def compute(self) -> list[Score]:
        return self.run_discriminator.compute()
