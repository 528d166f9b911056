"""Agreement of generated samples with their conditions, by networks trained on real data alone."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult
from gan_zoo.metrics.reference_classifier import check_labelled, classifier
from gan_zoo.metrics.retrieval import Retrieval
from gan_zoo.models.base import Model

MAX_CODES = 256


class Contingency(Metric):
    """Counts of pairs of a requested label and a predicted class, ``[requested, classes]``."""

    full_state_update = False
    table: Tensor

    def __init__(self, requested: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state(
            "table", torch.zeros(requested, classes, dtype=torch.int64), dist_reduce_fx="sum"
        )

    def update(self, requested_label: Tensor, predicted: Tensor) -> None:
        """Count pairs of class numbers ``[B]``."""
        requested, classes = self.table.shape
        self.table += torch.bincount(
            requested_label * classes + predicted, minlength=requested * classes
        ).view(requested, classes)

    def compute(self) -> Tensor:
        """The table of all pairs so far."""
        return self.table


class ClassMatch(Evaluator):
    """``condition_match``: the fraction of samples that a classifier assigns to the requested
    class.

    The classifier is trained once on the real training images and cached; its accuracy on real
    held-out images, an upper bound, is part of the protocol. The model's discriminators take no
    part.

    Args:
        num_samples: generated samples.
    """

    name = "condition_match"
    by_number: ClassVar[bool] = True
    """Whether requested label k must be the data's class k."""

    def __init__(self, num_samples: int = 2560) -> None:
        if num_samples < 1:
            raise ValueError(f"metric.{self.name}.num_samples must be >= 1, got {num_samples}")
        self.num_samples = num_samples
        self.best = self.name, "max"

    def check(self, source: Source, model: Model | None = None) -> None:
        check_labelled(source)
        if model is None or model.num_requested_labels is None:
            raise DataError(
                f"metric={self.name} needs a model with classes or a categorical code, this one has"
                " none"
            )
        if self.by_number and model.conditioning == "none":
            raise DataError(
                f"metric={self.name} needs a model of the data's classes, the codes of"
                f" {type(model).__name__} are its own: use metric=code_match"
            )

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.classifier, self.accuracy = classifier(source, device, self.training_steps)
        assert source.num_classes is not None
        self.source = source
        # Codes may outnumber the classes, so there is room for MAX_CODES of them.
        self.counts = Contingency(max(MAX_CODES, source.num_classes), source.num_classes).to(device)

    def update(self, generated: Generated) -> None:
        assert generated.requested_label is not None
        self.counts.update(
            generated.requested_label, self.classifier(to_uint8(generated.samples)).argmax(1)
        )

    def compute(self) -> list[MetricResult]:
        table = self.counts.compute()
        protocol = {
            "data": self.source.name,
            "classifier": "trained on the real training images",
            "classifier_accuracy_on_real": self.accuracy,
            "num_generated": int(table.sum()),
        }
        return [MetricResult(self.name, self.agreement(table), protocol)]

    def agreement(self, table: Tensor) -> float:
        """The fraction on the diagonal."""
        return float(table.diagonal().sum() / table.sum())


class CodeMatch(ClassMatch):
    """``code_match``: Hungarian accuracy, the fraction of samples whose class agrees with their
    code under the best one-to-one assignment of codes to classes.
    """

    name = "code_match"
    by_number: ClassVar[bool] = False

    def agreement(self, table: Tensor) -> float:
        """The fraction on the best diagonal (Kuhn 1955)."""
        from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]

        counts = table.cpu().numpy()
        return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / counts.sum())


class ConditionMatch(Evaluator):
    """How well samples match their conditions: `ClassMatch` for classes, `Retrieval` for other
    conditions.

    Args:
        num_samples: generated samples.
    """

    best = "condition_match", "max"

    def __init__(self, num_samples: int = 2560) -> None:
        self.num_samples = num_samples
        self.by_class = ClassMatch(num_samples)
        self.by_retrieval = Retrieval(num_samples)

    def check(self, source: Source, model: Model | None = None) -> None:
        self.choose(model).check(source, model)

    def choose(self, model: Model | None) -> Evaluator:
        """The evaluator for what ``model`` is conditioned on."""
        conditioned = model is not None and model.conditioning in ("text", "vector", "image")
        chosen: Evaluator = self.by_retrieval if conditioned else self.by_class

        # Both may have been set after construction, so they are passed on here.
        chosen.num_samples = self.num_samples
        chosen.training_steps = self.training_steps
        return chosen

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.chosen = self.choose(None if model is None else model.model)
        self.best = self.chosen.best
        self.chosen.prepare(source, device, model)

    def update(self, generated: Generated) -> None:
        self.chosen.update(generated)

    def compute(self) -> list[MetricResult]:
        return self.chosen.compute()
