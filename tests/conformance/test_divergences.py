"""With the best discriminator for two Gaussians every objective is its divergence, by quadrature in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gan_zoo.losses.base import Loss
from gan_zoo.losses.ebgan import EBGAN
from gan_zoo.losses.exponential import Exponential
from gan_zoo.losses.f_gan import FGAN
from gan_zoo.losses.fisher import Fisher
from gan_zoo.losses.hinge import Hinge
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.losses.minimax import Minimax
from gan_zoo.losses.softmax import Softmax
from gan_zoo.losses.wasserstein import Wasserstein

from .zoo import critique

# P = N(0, 1), Q = N(SHIFT, 1)
SHIFT = 0.8
GRID = torch.linspace(-14.0, 14.0 + SHIFT, 40_001, dtype=torch.float64)
STEP = (GRID[1] - GRID[0]).item()
P = (-(GRID**2) / 2).exp() / math.sqrt(2 * math.pi)
Q = (-((GRID - SHIFT) ** 2) / 2).exp() / math.sqrt(2 * math.pi)
LOG_RATIO = -(GRID**2) / 2 + (GRID - SHIFT) ** 2 / 2
RATIO = LOG_RATIO.exp()
EVEN = torch.tensor([0.25], dtype=torch.float64)


def integral(values: Tensor) -> float:
    return values.sum().item() * STEP


def closed_js() -> float:
    m = (P + Q) / 2
    return integral(torch.special.xlogy(P, P / m) + torch.special.xlogy(Q, Q / m)) / 2


def objective(loss: Loss, score: Tensor) -> float:
    """E_P a(D) + E_Q b(D) of a loss that is a mean of a(real) plus a mean of b(fake).

    a and b, up to a constant that is taken off, are the loss of one sample against a fixed one of the other side.
    """
    on_real = torch.func.vmap(lambda v: loss.discriminator(critique(v[None]), critique(EVEN)))(
        score
    )
    on_fake = torch.func.vmap(lambda v: loss.discriminator(critique(EVEN), critique(v[None])))(
        score
    )
    twice = loss.discriminator(critique(EVEN), critique(EVEN)).item()
    return integral(P * on_real) + integral(Q * on_fake) - twice


KL = SHIFT**2 / 2  # of unit Gaussians, both ways
CHI2 = math.exp(SHIFT**2) - 1  # Pearson and Neyman
BHATTACHARYYA = math.exp(-(SHIFT**2) / 8)
OVERLAP = math.erfc(SHIFT / 2 / math.sqrt(2))  # integral of min(p, q)

F_GAN: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[], float]]] = {
    # the raw score of the best discriminator, g^-1(f'(p/q)), and the divergence
    "kl": (lambda r: 1 + r.log(), lambda: KL),
    "reverse_kl": (lambda r: r.log(), lambda: KL),
    "pearson": (lambda r: 2 * (r - 1), lambda: CHI2),
    "neyman": (lambda r: 2 * r.log(), lambda: CHI2),
    "hellinger": (lambda r: r.log() / 2, lambda: 2 - 2 * BHATTACHARYYA),
    "jensen_shannon": (lambda r: r.log(), lambda: 2 * closed_js()),
    "gan": (lambda r: r.log(), lambda: 2 * closed_js() - 2 * math.log(2)),
    "total_variation": (lambda r: 1e4 * (r - 1).sign(), lambda: 1 - OVERLAP),
}


def test_the_grid_integrates() -> None:
    assert integral(P) == pytest.approx(1, abs=1e-12)
    assert integral(Q) == pytest.approx(1, abs=1e-12)
    assert integral(torch.minimum(P, Q)) == pytest.approx(OVERLAP, abs=1e-7)


@pytest.mark.parametrize("name", F_GAN)
def test_f_gan_is_its_divergence(name: str) -> None:
    score, divergence = F_GAN[name]
    assert -objective(FGAN(name), score(RATIO)) == pytest.approx(divergence(), abs=2e-6)


@pytest.mark.parametrize("name", F_GAN)
@pytest.mark.parametrize("error", [-0.3, 0.3])
def test_any_other_critic_is_below(name: str, error: float) -> None:
    """A lower bound: any change of the best score lowers the estimate."""
    score, divergence = F_GAN[name]
    wrong = (
        torch.atan(score(RATIO)) if name == "total_variation" else score(RATIO) + error * GRID.cos()
    )
    assert -objective(FGAN(name), wrong) < divergence()


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "neyman", "hellinger"])
def test_the_bound_holds_for_scores_out_of_range(name: str) -> None:
    assert -objective(FGAN(name), 100 * F_GAN[name][0](RATIO)) < F_GAN[name][1]()


def test_gan_is_jensen_shannon() -> None:
    assert objective(Minimax(), LOG_RATIO) == pytest.approx(
        2 * math.log(2) - 2 * closed_js(), abs=1e-9
    )


def test_lsgan_generator_is_pearson_chi2() -> None:
    """Mao 2017, theorem 1, with (a, b, c) = (-1, 1, 0): 2 C(G) = chi2 of (p + q) and 2q."""
    loss = LeastSquares(-1.0, 1.0, 0.0)
    best = (P - Q) / (P + Q)
    cost = torch.func.vmap(lambda v: loss.generator(critique(v[None])))(best)
    assert 2 * integral((P + Q) * cost) == pytest.approx(integral((P - Q) ** 2 / (P + Q)), abs=1e-9)
    assert objective(loss, best) == pytest.approx(integral(2 * P * Q / (P + Q)), abs=1e-9)


def test_wgan_is_the_distance_of_the_means() -> None:
    """The earth mover's distance of shifted copies is the shift; D(x) = -x is the best 1-Lipschitz discriminator."""
    assert -objective(Wasserstein(), -GRID) == pytest.approx(SHIFT, abs=1e-9)


def test_hinge_is_the_overlap() -> None:
    """2 - 2 TV (Lim & Ye 2017), at D = sign(p - q)."""
    assert objective(Hinge(), (P - Q).sign()) == pytest.approx(2 * OVERLAP, abs=1e-6)


def test_exponential_is_hellinger() -> None:
    assert objective(Exponential(), LOG_RATIO / 2) == pytest.approx(2 * BHATTACHARYYA, abs=1e-9)


def test_ebgan_is_the_overlap() -> None:
    """Zhao 2016, lemma 1: energy 0 where p >= q, the margin elsewhere."""
    assert objective(EBGAN(margin=3.0), 3.0 * (Q > P)) == pytest.approx(3 * OVERLAP, abs=1e-3)


def test_fisher_is_the_chi2_distance() -> None:
    """E and the second moment are not additive, so samples are used: the midpoints of 200,000 equally likely bins."""
    bins = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    real = torch.special.ndtri(bins)
    distance = math.sqrt(integral((P - Q) ** 2 / ((P + Q) / 2)))

    def best(x: Tensor) -> Tensor:
        return (
            -2 / distance * torch.tanh(SHIFT / 2 * (x - SHIFT / 2))
        )  # (p - q) / ((p + q) / 2), scaled to O = 1

    loss = Fisher(rho=0.1)
    loss.multiplier.fill_(0.7)
    real_side, fake_side = critique(best(real)), critique(best(real + SHIFT))
    assert -loss.discriminator(real_side, fake_side).item() == pytest.approx(distance, abs=1e-6)
    log_values = loss.log_values(real_side, fake_side)
    assert log_values["fisher_constraint"].item() == pytest.approx(1, abs=1e-6)
    assert log_values["fisher_ipm"].item() == pytest.approx(distance, abs=1e-6)


def test_the_softmax_loss_measures_a_divergence() -> None:
    """At D = log(p/m) it is log 2B - KL(p || m), and nowhere lower."""
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    m = (p + q) / 2
    sizes = [(side * 10).round().long() for side in (p, q)]
    best = (p / m).log()

    def value(scores: torch.Tensor) -> float:
        sides = [critique(scores.repeat_interleave(counts)) for counts in sizes]
        return Softmax().discriminator(*sides).item()

    divergence = (p * (p / m).log()).sum().item()
    assert value(best) == pytest.approx(math.log(20) - divergence)
    for change in torch.eye(3).double() * 0.1:
        assert value(best + change) > value(best)
        assert value(best - change) > value(best)
