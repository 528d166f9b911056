"""Datasets of which training knows few labels."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.few_labels import balanced, with_few_labels
from gan_zoo.data.loader import fixed_batch


@pytest.mark.parametrize(
    ("count", "expected"), [(10, [1] * 10), (100, [10] * 10), (103, [11, 11, 11] + [10] * 7)]
)
def test_classes_are_balanced(count: int, expected: list[int]) -> None:
    data = with_few_labels(digits(), count)
    chosen = data.labels[data.labeled]
    assert torch.bincount(chosen, minlength=10).sort(descending=True).values.tolist() == expected
    assert torch.equal(with_few_labels(digits(), count).labeled, data.labeled), (
        "the same every time"
    )


def test_a_small_class_gives_all_it_has() -> None:
    labels = torch.tensor([0] * 2 + [1] * 20)
    chosen = balanced(labels, 2, 10)
    assert torch.bincount(labels[chosen]).tolist() == [2, 8]


def test_more_labels_keep_those_there_were() -> None:
    few, more = (with_few_labels(digits(), count).labeled for count in (50, 200))
    assert (more | ~few).all()


def test_batches_hide_the_other_labels_and_metrics_see_all() -> None:
    data = with_few_labels(digits(), 500)
    batch = fixed_batch(data, 200, StepRNG(0, 0))
    plain = fixed_batch(digits(), 200, StepRNG(0, 0))
    assert torch.equal(batch.real, plain.real)
    known = batch.label >= 0
    assert torch.equal(batch.label[known], plain.label[known])
    assert 0.15 < known.float().mean() < 0.42
    assert (batch.label[~known] == -1).all()
    assert torch.equal(data.labels, digits().labels)


def test_impossible_numbers(tiny) -> None:
    with pytest.raises(DataError, match=r"data.labeled needs data with labels, data=x has none"):
        with_few_labels(Source("x", "all", torch.zeros(8, 2)), 5)
    for count in (9, 1798):
        with pytest.raises(
            DataError, match=f"the 10 classes to the 1797 samples of data=digits, got {count}"
        ):
            with_few_labels(digits(), count)
    with pytest.raises(
        DataError, match=r"this model needs the label of every sample: data.labeled must be null"
    ):
        build(tiny("model=acgan", "data=digits", "data.labeled=100"))
    build(tiny("model=dcgan", "data=digits", "data.labeled=100"))
