"""Whether the clusters that a model finds are classes."""

from __future__ import annotations

from typing import Any

import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Clusters, Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult
from gan_zoo.metrics.condition_accuracy import MAX_CODES, Contingency
from gan_zoo.metrics.reference_classifier import split
from gan_zoo.models.base import Model

NAME = "clustering"


class Clustering(Evaluator):
    """``clustering_accuracy`` and ``clustering_nmi`` of held-out real samples.

    The accuracy is that under the best one-to-one assignment of clusters to classes (Kuhn 1955);
    the normalized mutual information is I(cluster; class) divided by the mean of both entropies.
    Labels take no part in training.

    Args:
        num_samples: held-out samples, at most those that there are.
    """

    best = "clustering_accuracy", "max"

    def __init__(self, num_samples: Count = 10_000) -> None:
        self.num_samples = num_samples

    def check(self, source: Source, model: Model | None = None) -> None:
        require_clusters(model)
        if source.labels is None or source.num_classes is None:
            raise DataError(f"metric={NAME} needs data with labels, data={source.name} has none")

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert model is not None
        assert isinstance(model.model, Clusters)
        self.source = source
        self.clusters: Clusters = model.model
        self.generators = model.generators
        self.device = device
        _, _, self.held_out, self.rows = split(source)
        assert source.num_classes is not None
        self.counts = Contingency(MAX_CODES, source.num_classes).to(device)

    def update(self, generated: Generated) -> None:
        # Held-out sample i goes with generated sample i, so that processes share the work.
        rows = self.rows[generated.start : generated.start + len(generated.samples)]
        if not len(rows):
            return
        assert self.held_out.labels is not None
        samples = to_unit(self.held_out.samples[rows]).to(self.device)
        found = self.clusters.predict_category(samples, self.generators)
        self.counts.update(found, self.held_out.labels[rows].to(self.device))

    def compute(self) -> list[MetricResult]:
        from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]
        from sklearn.metrics import normalized_mutual_info_score

        # Counts of each cluster and class.
        table = self.counts.compute().cpu()
        counts = table.numpy()
        matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
        accuracy = float(matched / counts.sum())

        # The mutual information, from one row for each sample.
        pairs = table.nonzero().repeat_interleave(table[table > 0], 0)
        nmi = float(normalized_mutual_info_score(pairs[:, 1].numpy(), pairs[:, 0].numpy()))

        protocol: dict[str, Any] = {
            "data": self.source.name,
            "split": self.held_out.split if self.held_out is not self.source else "a fixed tenth",
            "num_real": int(counts.sum()),
        }
        return [
            MetricResult("clustering_accuracy", accuracy, protocol),
            MetricResult("clustering_nmi", nmi, protocol),
        ]


def require_clusters(model: Model | None) -> None:
    """Raise `DataError` unless the model assigns samples to clusters."""
    if not isinstance(model, Clusters):
        came = "none" if model is None else type(model).__name__
        raise DataError(
            f"metric={NAME} needs a model that assigns samples to clusters, such as cluster_gan,"
            f" got {came}"
        )
