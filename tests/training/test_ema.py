"""The averaged generator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gan_zoo.training.ema import EMA


def players(value: float) -> nn.ModuleDict:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(network[0].weight, value)
    return nn.ModuleDict({"main": network})


def test_a_weight_counts_half_after_the_half_life() -> None:
    generators = players(0.0)
    ema = EMA(generators, half_life=1000, ramp_up=1e9)
    nn.init.constant_(generators["main"][0].weight, 1.0)
    for step in range(10):
        ema.update(generators, images=100, images_seen=100 * (step + 1))
    assert float(ema.generators["main"][0].weight) == pytest.approx(0.5)


def test_early_on_the_average_is_short() -> None:
    generators = players(0.0)
    ema = EMA(generators, half_life=1e9, ramp_up=0.05)
    nn.init.constant_(generators["main"][0].weight, 1.0)
    ema.update(generators, images=50, images_seen=1000)  # the half-life is 50 images now
    assert float(ema.generators["main"][0].weight) == pytest.approx(0.5)


def test_running_statistics_are_copied_and_the_mode_stays() -> None:
    generators = players(1.0)
    ema = EMA(generators, half_life=1e9)
    generators["main"](torch.randn(8, 1) + 5)
    ema.update(generators, 8, 8)
    assert torch.equal(ema.generators["main"][1].running_mean, generators["main"][1].running_mean)
    ema.train()
    assert not ema.generators["main"][1].training
    assert not any(p.requires_grad for p in ema.parameters())


def test_the_trained_weights_are_never_touched() -> None:
    generators = players(1.0)
    before = {key: value.clone() for key, value in generators.state_dict().items()}
    EMA(generators, half_life=10).update(generators, 8, 8)
    assert all(torch.equal(before[key], value) for key, value in generators.state_dict().items())


def test_the_shadow_is_float32() -> None:
    ema = EMA(players(1.0).to(torch.bfloat16), half_life=10)
    assert {p.dtype for p in ema.parameters()} == {torch.float32}


@pytest.mark.parametrize("arguments", [{"half_life": 0}, {"half_life": 1, "ramp_up": 0}])
def test_impossible_arguments_are_named(arguments) -> None:
    with pytest.raises(ValueError, match=r"ema.half_life and ema.ramp_up must be > 0"):
        EMA(players(1.0), **arguments)
