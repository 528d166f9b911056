"""Whether generated rows are like those of a table, useful, and not copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.sample_kinds.table import Table
from gan_zoo.data.tables.columns import Category
from gan_zoo.data.tables.schema import Schema
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult
from gan_zoo.metrics.functional.feature_metrics import FeatureBank
from gan_zoo.metrics.functional.tables import Values, column_shapes, pair_trends
from gan_zoo.models.base import Model

TREES = 100
FEWEST = 10
"""Held-out rows that a prediction is tested on at least."""


class TableQuality(Evaluator):
    """Metrics of generated rows of a table.

    ``column_shapes``: how alike the distributions of each column are; ``pair_trends``: how alike
    the dependence of each pair of columns is, both in [0, 1] and means of SDMetrics' KSComplement
    and TVComplement, CorrelationSimilarity and ContingencySimilarity over all pairs, where its
    report leaves out weakly dependent ones. With held-out rows also: ``tstr``, how well a
    random forest trained on generated rows predicts the target column of held-out rows, macro F1
    or R^2, beside ``trtr``, the same trained on real rows; and ``nearer_to_training``, how much
    more often than by chance the nearest real row of a generated one is a training row, about 0 if
    nothing is copied. ``copies`` is the fraction of rows that are training rows.

    Args:
        num_samples: generated rows.
    """

    def __init__(self, num_samples: Count = 2048) -> None:
        self.num_samples = num_samples
        self.best = "pair_trends", "max"

    def check(self, source: Source, model: Model | None = None) -> None:
        if not isinstance(source.sample_kind, Table):
            raise DataError(f"metric=table is for data=table, data={source.name} is no table")

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert isinstance(source.sample_kind, Table)
        self.kind = source.sample_kind
        self.source = source
        self.held_out = source.evaluation_split()
        self.generated = FeatureBank().to(device)
        # Some processes get no block.
        self.generated.update(torch.empty(0, *source.sample_shape, device=device), 0)

    def update(self, generated: Generated) -> None:
        self.generated.update(generated.samples, generated.start)

    def compute(self) -> list[MetricResult]:
        # Tables of numbers, held-out rows only if there are some.
        real = numbers_of_rows(self.kind.schema, self.source.samples)
        fake = numbers_of_rows(self.kind.schema, self.generated.compute())
        has_held_out = self.held_out is not self.source and len(self.held_out) >= FEWEST
        held_out = (
            numbers_of_rows(self.kind.schema, self.held_out.samples) if has_held_out else None
        )
        found = table_scores(self.kind.schema, self.kind.target_column, real, fake, held_out)

        # What they were computed from.
        protocol: dict[str, Any] = {
            "data": self.source.name,
            "split": self.source.split,
            "num_real": len(real),
            "num_generated": len(fake),
        }
        if held_out is not None:
            protocol |= {"held_out": len(held_out), "target": self.kind.target_column}
            is_category = self.kind.target_column in self.kind.schema.categories
            protocol["score"] = "macro F1" if is_category else "R2"
        return [MetricResult(name, value, dict(protocol)) for name, value in found.items()]


def numbers_of_rows(schema: Schema, samples: Tensor) -> Values:
    """Encoded rows ``[N, D]`` as one number for each column, ``[N, K]``; that of the value for
    categories.
    """
    rows = samples.double().cpu().numpy()
    columns = [
        part.argmax(1).astype(np.float64)
        if isinstance(column, Category)
        else column.decode_numbers(part)
        for column, part in zip(schema.columns, schema.split(rows), strict=True)
    ]
    return np.stack(columns, 1)


def table_scores(
    schema: Schema, target: str, real: Values, fake: Values, held_out: Values | None = None
) -> dict[str, float]:
    """The metrics of `TableQuality` by name, from tables of numbers ``[N, K]``.

    Args:
        schema: the columns.
        target: the name of the column that is predicted.
        real: training rows.
        fake: generated rows.
        held_out: rows that training has not seen; None leaves out the metrics that need them.
    """
    are_categories = [isinstance(column, Category) for column in schema.columns]
    found = {"column_shapes": column_shapes(real, fake, are_categories)}
    trends = pair_trends(real, fake, are_categories)
    if trends is not None:
        found["pair_trends"] = trends
    rows = features(schema, fake)
    found["copies"] = float((_nearest(rows, features(schema, real)) == 0).mean())
    if held_out is None:
        return found

    # Predictions of held-out rows.
    number = schema.names.index(target)
    is_category = are_categories[number]
    found["tstr"] = prediction_score(fake, held_out, number, is_category)
    found["trtr"] = prediction_score(real, held_out, number, is_category)

    # Whether the nearest of all rows is a training row, which happens by chance, too.
    chance = len(real) / (len(real) + len(held_out))
    to_training = _nearest(rows, features(schema, real))
    to_held_out = _nearest(rows, features(schema, held_out))
    nearer = (to_training < to_held_out) + chance * (to_training == to_held_out)
    return found | {"nearer_to_training": float(nearer.mean()) - chance}


def features(schema: Schema, table: Values) -> Values:
    """Numbers for distances: on a scale of 1, categories one-hot of height 1/2.

    Two rows that differ in one category are at a distance of 1.
    """
    parts = []
    for column, values in zip(schema.columns, table.T, strict=True):
        if isinstance(column, Category):
            parts.append(np.eye(len(column.values))[values.astype(int)] / 2)
            continue

        # A missing number is 0 on the scale, and says so in a column of its own.
        scaled = (values - column.low) / (column.high - column.low)
        missing = np.isnan(scaled)
        parts.append(np.stack([np.where(missing, 0, scaled), missing / 1.0], 1))
    return np.concatenate(parts, 1)


def prediction_score(table: Values, held_out: Values, target: int, is_category: bool) -> float:
    """How well a random forest trained on ``table`` predicts column ``target`` of ``held_out``:
    macro F1 of categories, R^2 of numbers; 0 if it never occurs in ``table``.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.metrics import f1_score, r2_score

    # Rows whose target is known, without it.
    table, held_out = (part[~np.isnan(part[:, target])] for part in (table, held_out))
    if not len(table):
        return 0.0
    inputs, outputs = np.delete(table, target, 1), table[:, target]
    kind = RandomForestClassifier if is_category else RandomForestRegressor
    forest = kind(TREES, random_state=0, min_samples_leaf=2)
    predicted = forest.fit(inputs, outputs).predict(np.delete(held_out, target, 1))
    if is_category:
        return float(f1_score(held_out[:, target], predicted, average="macro"))
    return float(r2_score(held_out[:, target], predicted))


def _nearest(rows: Values, others: Values, block: int = 512) -> Values:
    """The L1 distance of each row to the nearest of ``others``."""
    all_others = torch.from_numpy(others).float()
    parts = [
        torch.cdist(part, all_others, p=1).amin(1)
        for part in torch.split(torch.from_numpy(rows).float(), block)
    ]
    return torch.cat(parts).numpy().astype(np.float64)
