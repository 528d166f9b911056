"""The doctor's numbers are what they are by hand."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from gan_zoo.core.types import AdversarialTerm
from gan_zoo.diagnostics.probe import score_statistics
from gan_zoo.diagnostics.statistics import (
    features,
    median_nn_distance,
    overfitting_ratio,
    rms_deviation,
    roc_auc,
)


def test_spread_and_nearest_by_hand() -> None:
    square = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0]])
    assert rms_deviation(square) == pytest.approx(2.5)  # every corner is 2.5 from the center
    assert median_nn_distance(square) == 3.0
    assert median_nn_distance(square.repeat(2, 1)) == 0.0, "a copy is a twin at no distance"


def test_separation_is_the_area_under_the_roc_curve() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(40).round(decimals=1) + 0.5, torch.randn(30).round(decimals=1)
    truth = torch.cat([torch.ones(40), torch.zeros(30)])
    assert float(roc_auc(real, fake)) == pytest.approx(
        roc_auc_score(truth, torch.cat([real, fake])), abs=1e-6
    )
    assert roc_auc(real, fake) == pytest.approx(float(roc_auc(fake, real))), "energies count alike"
    assert roc_auc(torch.zeros(3), torch.zeros(5)) == 0.5


@pytest.mark.parametrize(("unseen", "expected"), [(3.0, 0.0), (1.0, 0.5), (-1.0, 1.0)])
def test_memory_says_where_held_out_reals_are_between_reals_and_fakes(
    unseen: float, expected: float
) -> None:
    real, fake = torch.tensor([2.0, 4.0]), torch.tensor([-1.0])
    assert overfitting_ratio(real, torch.tensor([unseen]), fake) == pytest.approx(expected)
    assert overfitting_ratio(7 * real, torch.tensor([7 * unseen]), 7 * fake) == pytest.approx(
        expected
    ), "free of scale"


def test_images_are_compared_without_their_texture() -> None:
    rng = torch.rand(1, 3, 64, 64).round()
    checkerboard = (
        (torch.arange(64).view(-1, 1) + torch.arange(64)).remainder(2).expand(1, 1, -1, -1).float()
    )
    assert torch.allclose(features(checkerboard), features(1 - checkerboard))
    assert features(rng).shape == (1, 3 * 16 * 16)
    assert features(torch.randn(5, 2)).shape == (5, 2)


def test_percentiles_are_those_of_the_scores() -> None:
    network = nn.Flatten(0)
    real, fake = torch.linspace(1, 2, 101), torch.linspace(-1, 0, 101)
    term = AdversarialTerm("realism", network, real.unsqueeze(1), fake.unsqueeze(1))
    found = score_statistics(term, None)
    middle = {name: float(value) for name, value in found.items() if "_p" in name}
    assert middle == pytest.approx(
        {
            "real_p05": 1.05,
            "real_p50": 1.5,
            "real_p95": 1.95,
            "fake_p05": -0.95,
            "fake_p50": -0.5,
            "fake_p95": -0.05,
        }
    )
