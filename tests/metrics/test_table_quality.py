"""Metrics of tables: values by hand, SDMetrics, copies and predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.datasets.table import table
from gan_zoo.metrics.base import Generated, Samples, evaluate_all
from gan_zoo.metrics.functional.tables import column_similarity, pair_similarity, pair_trends
from gan_zoo.metrics.table_quality import TableQuality

RNG = np.random.default_rng(0)


def test_shapes_of_columns_by_hand() -> None:
    assert column_similarity(np.array([0.0, 0, 1, 2]), np.array([0.0, 1, 1, 1]), True) == 0.5
    real, fake = RNG.normal(size=50), RNG.normal(0.5, 2, 70)
    found = column_similarity(real, np.append(fake, np.nan), False)
    assert found == pytest.approx(1 - ks_2samp(real, fake).statistic)
    assert column_similarity(real, np.array([np.nan]), False) == 0


def test_dependence_of_pairs_by_hand() -> None:
    x = np.arange(10.0)
    assert pair_similarity(np.stack([x, x], 1), np.stack([x, -x], 1), (False, False)) < 1e-12
    assert pair_similarity(np.stack([x, 0 * x], 1), np.stack([x, x], 1), (False, False)) is None
    real = np.array([[0.0, 0], [0, 0], [1, 1], [1, 1]])
    fake = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    assert pair_similarity(real, fake, (True, True)) == 0.5
    assert pair_trends(real[:, :1], fake[:, :1], [True]) is None


def test_values_are_those_of_sdmetrics() -> None:
    pairs = pytest.importorskip("sdmetrics.column_pairs")
    single = pytest.importorskip("sdmetrics.single_column")
    tables = [
        pd.DataFrame({"a": RNG.normal(shift, 1, 80), "b": RNG.integers(0, 3, 80)})
        for shift in (0, 0.7)
    ]
    tables[0]["c"], tables[1]["c"] = tables[0]["a"] + tables[0]["b"], tables[1]["a"] ** 2
    real, fake = (part[["a", "b", "c"]].to_numpy(dtype=float) for part in tables)
    assert column_similarity(real[:, 0], fake[:, 0], False) == pytest.approx(
        single.KSComplement.compute(tables[0]["a"], tables[1]["a"])
    )
    assert column_similarity(real[:, 1], fake[:, 1], True) == pytest.approx(
        single.TVComplement.compute(tables[0]["b"], tables[1]["b"])
    )
    for columns, kinds, metric, options in (
        (["a", "c"], (False, False), pairs.CorrelationSimilarity, {}),
        (
            ["a", "b"],
            (False, True),
            pairs.ContingencySimilarity,
            {"continuous_column_names": ["a"]},
        ),
    ):
        own = [part[columns].to_numpy(dtype=float) for part in tables]
        expected = metric.compute(tables[0][columns].copy(), tables[1][columns].copy(), **options)
        assert pair_similarity(*own, kinds) == pytest.approx(expected)


def scores(make, count: int = 128) -> dict[str, float]:
    data = table(None, "iris")

    def generated(block: int) -> Generated:
        return Generated({"sample": make(data, block)}, SampleRequest(64, StepRNG(0, block)))

    results = evaluate_all(
        {"table": TableQuality(count)}, Samples(generated, count), data, torch.device("cpu")
    )
    assert all(result.protocol["score"] == "macro F1" for result in results)
    return {result.name: result.value for result in results}


def test_copies_are_found_and_noise_is_worse() -> None:
    """Copied training rows are as useful as real ones, but nearer to training than to held-out
    rows.
    """
    copied = scores(lambda data, block: data.samples[(block * 64 + torch.arange(64)) % len(data)])
    assert copied["copies"] == 1
    assert copied["nearer_to_training"] > 0.1
    assert copied["column_shapes"] > 0.95
    assert copied["tstr"] == pytest.approx(copied["trtr"], abs=0.1)

    def noise(data, block: int):
        draws = torch.rand(64, data.sample_shape[0], generator=torch.Generator().manual_seed(block))
        return 2 * draws - 1

    random = scores(noise)
    assert random["copies"] == 0
    assert random["nearer_to_training"] < copied["nearer_to_training"]
    assert random["column_shapes"] < copied["column_shapes"] - 0.1
    assert random["tstr"] < 0.7 < copied["tstr"]


def test_only_tables_have_columns() -> None:
    with pytest.raises(DataError, match="metric=table is for data=table, data=digits is no table"):
        TableQuality().check(digits())
