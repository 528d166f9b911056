"""f-GAN: f*(g(v)) against a numeric Legendre transform, and the thresholds against f'(1)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gan_zoo.losses.f_gan import DIVERGENCES, FGAN


def xlogx(u: Tensor) -> Tensor:
    return torch.special.xlogy(u, u)


F = {
    "kl": xlogx,
    "reverse_kl": lambda u: -u.log(),
    "pearson": lambda u: (u - 1) ** 2,
    "neyman": lambda u: (1 - u) ** 2 / u,
    "hellinger": lambda u: (u.sqrt() - 1) ** 2,
    "jensen_shannon": lambda u: xlogx(u) - (u + 1) * ((1 + u) / 2).log(),
    "gan": lambda u: xlogx(u) - xlogx(u + 1),
    "total_variation": lambda u: (u - 1).abs() / 2,
}
SLOPE_AT_ONE = {
    "kl": 1.0,
    "reverse_kl": -1.0,
    "pearson": 0.0,
    "neyman": 0.0,
    "hellinger": 0.0,
    "jensen_shannon": 0.0,
    "gan": -math.log(2),
    "total_variation": 0.0,
}


def test_every_divergence_is_here() -> None:
    assert set(F) == set(SLOPE_AT_ONE) == set(DIVERGENCES)


@pytest.mark.parametrize("name", F)
def test_conjugate_is_the_legendre_transform(name: str) -> None:
    """sup_u (u t - f(u)) at t = g(v); u* lies within e^-12..e^12 for these v, and the grid's error is quadratic."""
    v = torch.linspace(-3.0, 3.0, 25, dtype=torch.float64)
    if name == "pearson":
        v = v.clamp_min(-1.9)  # below -2 the supremum is at u = 0
    u = torch.linspace(-12.0, 12.0, 120_001, dtype=torch.float64).exp()
    t = DIVERGENCES[name].g(v)
    supremum = torch.stack([(u * one - F[name](u)).max() for one in t])
    torch.testing.assert_close(DIVERGENCES[name].conjugate(v), supremum, rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize("name", F)
def test_threshold_is_where_both_sides_are_equally_likely(name: str) -> None:
    h = 1e-5
    right, left = (F[name](torch.tensor(1.0 + d, dtype=torch.float64)).item() for d in (h, -h))
    assert (right - left) / (2 * h) == pytest.approx(SLOPE_AT_ONE[name], abs=1e-8)
    at = torch.tensor(FGAN(name).threshold, dtype=torch.float64)
    assert DIVERGENCES[name].g(at).item() == pytest.approx(SLOPE_AT_ONE[name], abs=1e-12)


@pytest.mark.parametrize("name", F)
def test_a_critic_that_knows_nothing_reads_zero(name: str) -> None:
    """f*(f'(1)) = f'(1) as f(1) = 0; for ``gan``, f(1) = -2 log 2."""
    at = torch.tensor(FGAN(name).threshold, dtype=torch.float64)
    f = DIVERGENCES[name]
    nothing = -2 * math.log(2) if name == "gan" else 0.0
    assert (f.g(at) - f.conjugate(at)).item() == pytest.approx(nothing, abs=1e-12)


@pytest.mark.parametrize("name", F)
def test_output_is_increasing(name: str) -> None:
    v = torch.linspace(-15.0, 15.0, 2001, dtype=torch.float64)
    steps = DIVERGENCES[name].g(v).diff()
    assert (steps > 0).all() if name != "total_variation" else (steps >= 0).all()
