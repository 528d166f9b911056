"""Drift, WGAN-div, the largest slope, differences instead of derivatives, DRAGAN's two points: by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm
from gan_zoo.regularizers.dragan import DRAGAN, global_std
from gan_zoo.regularizers.drift import Drift
from gan_zoo.regularizers.finite_difference import ApproximateR1, ApproximateR2
from gan_zoo.regularizers.lipschitz_max import LipschitzMax
from gan_zoo.regularizers.wgan_div import WassersteinDivergence
from gan_zoo.regularizers.zero_centered import R1, R2
from tests.conformance.zoo import LinearCritic, QuadraticCritic, duel_of

RNG = StepRNG(0, 0)
REAL = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).double()
FAKE = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)).double()
WEIGHT = torch.tensor([1.0, -2.0, 0.5]).double()


def penalty(regularizer, discriminator: nn.Module, rng: StepRNG = RNG) -> Tensor:
    term = duel_of(discriminator, REAL, FAKE)
    return regularizer.penalty(term, term.discriminate_real(), term.discriminate_fake(), rng)


def test_drift_is_of_reals_alone() -> None:
    discriminator = LinearCritic(WEIGHT.clone())
    expected = 0.5 * ((REAL @ WEIGHT) ** 2).mean()
    found = penalty(Drift(0.5), discriminator)
    torch.testing.assert_close(found.detach(), expected)
    (gradient,) = torch.autograd.grad(found, discriminator.weight)
    torch.testing.assert_close(gradient, ((REAL @ WEIGHT)[:, None] * REAL).mean(0))
    both = 0.25 * (((REAL @ WEIGHT) ** 2).mean() + ((FAKE @ WEIGHT) ** 2).mean())
    assert not torch.isclose(found.detach(), both), "a public copy has fakes, too"


def test_the_divergence_of_wgan_div_by_hand() -> None:
    """On a quadratic critic the gradient is a x: k/2 (E |a x|^p + E |a G(z)|^p)."""
    found = penalty(WassersteinDivergence(2.0, 6.0), QuadraticCritic(WEIGHT.clone()))
    powers = [(WEIGHT * side).norm(dim=1).pow(6).mean() for side in (REAL, FAKE)]
    torch.testing.assert_close(found.detach(), powers[0] + powers[1])
    assert not torch.isclose(found.detach(), 2 * (powers[0] + powers[1])), "k times the sum"
    with pytest.raises(ValueError, match=r"power must be > 1, got 1"):
        WassersteinDivergence(power=1.0)


def test_the_largest_slope_alone_counts() -> None:
    discriminator = QuadraticCritic(WEIGHT.clone())
    found = penalty(LipschitzMax(10.0), discriminator)
    epsilon = RNG.uniform("lipschitz_max/adversarial", 6).double()[:, None]
    points = epsilon * REAL + (1 - epsilon) * FAKE
    squares = (WEIGHT * points).square().sum(1)
    torch.testing.assert_close(found.detach(), 10 * squares.max())
    (gradient,) = torch.autograd.grad(found, discriminator.weight)
    steepest = points[squares.argmax()]
    torch.testing.assert_close(gradient, 20 * WEIGHT * steepest**2)


@pytest.mark.parametrize(
    ("approximate", "exact"), [(ApproximateR1, R1), (ApproximateR2, R2)], ids=["r1", "r2"]
)
def test_differences_agree_with_derivatives_on_average(approximate, exact) -> None:
    """E_n (n . grad)^2 = |grad|^2, on a linear critic to the first order and beyond."""
    discriminator = LinearCritic(WEIGHT.clone())
    penalties = [penalty(approximate(3.0), discriminator, StepRNG(0, k)).item() for k in range(600)]
    expected = penalty(exact(3.0), discriminator).item()
    assert expected == pytest.approx(1.5 * WEIGHT.square().sum().item())
    error = expected * math.sqrt(2 / (600 * 6))  # the standard deviation of a mean of chi-squares
    assert sum(penalties) / 600 == pytest.approx(expected, abs=4 * error)
    assert not approximate.needs_double_backward


class Dropping(nn.Module):
    """Random numbers in the forward pass, as augmentation has."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, training=True).sum(1)


def test_both_points_of_a_difference_get_the_same_random_numbers() -> None:
    """With draws of its own each score would differ by more than its slope."""
    shared = penalty(ApproximateR1(2.0), Dropping())
    assert shared.item() < 50
    x = REAL.float()
    apart = ((Dropping()(x) - Dropping()(x + 0.01)) / 0.01).square().mean()
    assert apart > 1000


def test_the_networks_random_numbers_go_on_as_if_nothing_had_happened() -> None:
    term = AdversarialTerm("realism", nn.Linear(3, 1).double(), REAL, FAKE)
    real, fake = term.discriminate_real(), term.discriminate_fake()
    before = torch.get_rng_state()
    ApproximateR1().penalty(term, real, fake, RNG)
    assert torch.equal(torch.get_rng_state(), before)


def test_dragan_has_the_codes_point_and_the_papers() -> None:
    term = duel_of(LinearCritic(WEIGHT.clone()), REAL, FAKE)
    real = term.discriminate_real()
    line = DRAGAN().perturbation(term, real, RNG)
    direction = line / RNG.uniform("dragan/adversarial", 6, 3)
    torch.testing.assert_close(direction, direction[:, :1].expand(-1, 3))
    assert line.min() >= 0, "u ~ U[0, 1] has one sign"
    gaussian = DRAGAN(point="gaussian").perturbation(term, real, RNG)
    expected = global_std(REAL) * RNG.normal("dragan/adversarial", 6, 3)
    torch.testing.assert_close(gaussian, expected.double())
    with pytest.raises(ValueError, match="point must be line or gaussian, got 'uniform'"):
        DRAGAN(point="uniform")
