"""How well the discriminator classifies real samples."""

from __future__ import annotations

from typing import Any

import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Classifies, Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import (
    EvaluatedModel,
    Evaluator,
    Generated,
    MetricResult,
    exact_device,
    warned,
)
from gan_zoo.metrics.functional.means import Means
from gan_zoo.models.base import Model

NAME = "class_accuracy"


class ClassAccuracy(Evaluator):
    """``class_accuracy``: the fraction of held-out real samples that the discriminator classifies
    as their label says; one minus the test error.

    Without a held-out part the samples are those whose labels training does not know
    (``data.labeled``). The discriminator is not averaged, as generators are. Real sample i goes
    with generated sample i, so that processes share the work.

    Args:
        num_samples: real samples, at most those that there are.
    """

    best = NAME, "max"

    def __init__(self, num_samples: Count = 10_000) -> None:
        self.num_samples = num_samples

    def check(self, source: Source, model: Model | None = None) -> None:
        require_classifier(model)
        if source.labels is None:
            raise DataError(f"metric={NAME} needs data with labels, data={source.name} has none")

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert model is not None
        assert isinstance(model.model, Classifies)
        self.source = source
        self.model = model.model
        self.device = device
        self.real = source.evaluation_split()
        self.rows = torch.arange(len(self.real))

        # In data without a held-out part, those whose labels training does not know.
        if self.real is source and source.labeled is not None and not source.labeled.all():
            self.rows = (~source.labeled).nonzero().flatten()
        self.means = Means(1).to(exact_device(device))

    def update(self, generated: Generated) -> None:
        # Past the last real sample there is none.
        rows = self.rows[generated.start : generated.start + len(generated.samples)]
        if not len(rows):
            return
        assert self.real.labels is not None
        samples = to_unit(self.real.samples[rows]).to(self.device)
        found = self.model.class_logits(samples).argmax(1)
        self.means.update((found == self.real.labels[rows].to(self.device))[:, None])

    def compute(self) -> list[MetricResult]:
        # Accuracy over all processes.
        (accuracy,), count = self.means.compute()
        known = self.source.labeled
        protocol: dict[str, Any] = {
            "data": self.source.name,
            "split": self.real.split,
            "num_real": count,
            "num_labels": len(self.source) if known is None else int(known.sum()),
            "ema_of_discriminator": False,
        }

        # Which samples these are, where they are not held-out ones.
        if self.real is self.source and len(self.rows) < len(self.real):
            protocol["split"] = "samples of training without a label"
        elif self.real is self.source:
            protocol = warned(
                protocol, "the data have no held-out part: the model was trained on these labels"
            )
        return [MetricResult(NAME, accuracy, protocol)]


def require_classifier(model: Model | None) -> None:
    """Raise `DataError` unless the model's discriminator classifies."""
    if not isinstance(model, Classifies):
        came = "none" if model is None else type(model).__name__
        raise DataError(
            f"metric={NAME} needs a model whose discriminator classifies, such as sgan, got {came}"
        )
