"""Every loss: values and gradients by hand, on batches of three."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_zoo.losses.base import Loss
from gan_zoo.losses.began import BEGAN
from gan_zoo.losses.dual_contrastive import DualContrastive
from gan_zoo.losses.ebgan import EBGAN, pulling_away
from gan_zoo.losses.exponential import Exponential
from gan_zoo.losses.f_gan import FGAN
from gan_zoo.losses.fisher import Fisher
from gan_zoo.losses.hinge import Hinge
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.losses.logistic_variants import BoundarySeeking, ReverseKL
from gan_zoo.losses.loss_sensitive import LossSensitive
from gan_zoo.losses.minimax import Minimax, NonSaturating
from gan_zoo.losses.relativistic import (
    RelativisticAverage,
    RelativisticAverageHinge,
    RelativisticAverageLeastSquares,
    RelativisticPaired,
)
from gan_zoo.losses.softmax import Softmax
from gan_zoo.losses.wasserstein import Wasserstein

from .zoo import critique, gradients

Array = NDArray[np.float64]
R = np.array([0.5, -1.0, 2.0])
F = np.array([-0.5, 1.5, 0.25])
THIRD = np.full(3, 1 / 3)
ZERO = np.zeros(3)


def softplus(v: Array) -> Array:
    return np.log1p(np.exp(v))


def sigmoid(v: Array) -> Array:
    return 1 / (1 + np.exp(-v))


class Case(NamedTuple):
    """Both losses, and their derivatives by the scores of reals and fakes."""

    loss: Loss
    d: float
    d_real: Array
    d_fake: Array
    g: float
    g_fake: Array
    g_real: Array = ZERO
    real: Array = R
    fake: Array = F


def case_of_f(
    name: str,
    g: Array,
    slope_g: Array,
    conjugate: Array,
    slope: Array,
    g_fake: Array,
    slope_g_fake: Array,
):
    """f-GAN: g on the reals, f*(g) and g on the fakes, each with its derivative."""
    d = -(g.mean() - conjugate.mean())
    shared = d, -slope_g / 3, slope / 3
    yield f"{name}", Case(FGAN(name, practical=False), *shared, -conjugate.mean(), -slope / 3)
    yield f"{name} practical", Case(FGAN(name), *shared, -g_fake.mean(), -slope_g_fake / 3)


def relativistic_average(loss: Loss, cost, slope) -> Case:
    """Gradient reaches a score through its own gap and through the mean it is part of."""

    def contest(ahead: Array, behind: Array) -> tuple[float, Array, Array]:
        a, b = ahead - behind.mean(), ahead.mean() - behind
        value = (cost(a).mean() + cost(b).mean()) / 2
        return value, (slope(a) + slope(b).mean()) / 6, -(slope(b) + slope(a).mean()) / 6

    d, d_real, d_fake = contest(R, F)
    g, g_fake, g_real = contest(F, R)
    return Case(loss, d, d_real, d_fake, g, g_fake, g_real)


def fisher() -> Case:
    loss = Fisher(rho=0.1)
    loss.multiplier.fill_(0.5)
    gap, excess = R.mean() - F.mean(), ((R**2).mean() + (F**2).mean()) / 2 - 1
    d, pull = -gap + 0.5 * excess + 0.05 * excess**2, 0.5 + 0.1 * excess
    return Case(loss, d, -THIRD + pull * R / 3, THIRD + pull * F / 3, -F.mean(), -THIRD)


def began() -> Case:
    loss = BEGAN()
    loss.k.fill_(0.25)
    return Case(loss, R.mean() - 0.25 * F.mean(), THIRD, -0.25 * THIRD, F.mean(), THIRD)


def softmax() -> Case:
    """LSE's derivative by a score is that score's share."""
    total = np.exp(R).sum() + np.exp(F).sum()
    share_real, share_fake = np.exp(R) / total, np.exp(F) / total
    return Case(
        Softmax(),
        *(np.log(total) - R.mean(), share_real - 1 / 3, share_fake),
        *(np.log(total) - (R.mean() + F.mean()) / 2, share_fake - 1 / 6, share_real - 1 / 6),
    )


def dual_contrastive(practical: bool) -> Case:
    def contrast(a: Array, b: Array) -> tuple[float, Array, Array]:
        """-log of the share of each a against all b, and the derivatives by a and b."""
        others = np.exp(b).sum()
        total = np.exp(a) + others
        return (
            -np.log(np.exp(a) / total).mean(),
            -others / total / 3,
            np.exp(b) * (1 / total).mean(),
        )

    def both(a: Array, b: Array) -> tuple[float, Array, Array]:
        first, first_a, first_b = contrast(a, b)
        second, second_b, second_a = contrast(-b, -a)
        return first + second, first_a - second_a, first_b - second_b

    d, d_real, d_fake = both(R, F)
    g, g_fake, g_real = both(F, R) if practical else (-d, -d_fake, -d_real)
    return Case(DualContrastive(practical), d, d_real, d_fake, g, g_fake, g_real)


def cases() -> dict[str, Case]:
    gap = R - F
    found = {
        "minimax": Case(
            Minimax(),
            *(softplus(-R).mean() + softplus(F).mean(), -sigmoid(-R) / 3, sigmoid(F) / 3),
            *(-softplus(F).mean(), -sigmoid(F) / 3),
        ),
        "nonsaturating": Case(
            NonSaturating(),
            *(softplus(-R).mean() + softplus(F).mean(), -sigmoid(-R) / 3, sigmoid(F) / 3),
            *(softplus(-F).mean(), -sigmoid(-F) / 3),
        ),
        "bgan": Case(
            BoundarySeeking(),
            *(softplus(-R).mean() + softplus(F).mean(), -sigmoid(-R) / 3, sigmoid(F) / 3),
            *(2.5625 / 6, F / 3),
        ),
        "reverse_kl of the logistic discriminator": Case(
            ReverseKL(),
            *(softplus(-R).mean() + softplus(F).mean(), -sigmoid(-R) / 3, sigmoid(F) / 3),
            *(-1.25 / 3, -THIRD),
        ),
        # reals 0.25, 4, 1 and fakes 0.25, 2.25, 0.0625 after squaring
        "lsgan": Case(
            LeastSquares(),
            (5.25 + 2.5625) / 6,
            (R - 1) / 3,
            F / 3,
            (2.25 + 0.25 + 0.5625) / 6,
            (F - 1) / 3,
        ),
        "lsgan pearson": Case(
            LeastSquares(-1.0, 1.0, 0.0),
            *((5.25 + 0.25 + 6.25 + 1.5625) / 6, (R - 1) / 3, (F + 1) / 3),
            *(2.5625 / 6, F / 3),
        ),
        # 1 - D(x) is 0.5, 2, -1 and 1 + D(G(z)) is 0.5, 2.5, 1.25
        "hinge": Case(
            Hinge(), (2.5 + 4.25) / 3, np.array([-1, -1, 0]) / 3, THIRD, -1.25 / 3, -THIRD
        ),
        "exponential": Case(
            Exponential(),
            *(np.exp(-R).mean() + np.exp(F).mean(), -np.exp(-R) / 3, np.exp(F) / 3),
            *(np.exp(-F).mean(), -np.exp(-F) / 3),
        ),
        "wgan": Case(Wasserstein(), (1.25 - 1.5) / 3, -THIRD, THIRD, -1.25 / 3, -THIRD),
        "rpgan": Case(
            RelativisticPaired(),
            *(softplus(-gap).mean(), -sigmoid(-gap) / 3, sigmoid(-gap) / 3),
            *(softplus(gap).mean(), -sigmoid(gap) / 3, sigmoid(gap) / 3),
        ),
        "ragan": relativistic_average(
            RelativisticAverage(), lambda a: softplus(-a), lambda a: -sigmoid(-a)
        ),
        "ragan_ls": relativistic_average(
            RelativisticAverageLeastSquares(), lambda a: (a - 1) ** 2, lambda a: 2 * (a - 1)
        ),
        "ragan_hinge": relativistic_average(
            RelativisticAverageHinge(), lambda a: np.maximum(0, 1 - a), lambda a: -1.0 * (a < 1)
        ),
        "fisher": fisher(),
        "began": began(),
        # margin 1: the fakes fall short by 0.6, 0 and 0.1
        "ebgan": Case(
            EBGAN(pulling_away=0.0),
            *(0.8 / 3 + 0.7 / 3, THIRD, np.array([-1, 0, -1]) / 3, 2.6 / 3, THIRD),
            real=np.array([0.2, 0.5, 0.1]),
            fake=np.array([0.4, 1.3, 0.9]),
        ),
    }
    tanh_slope = [(1 - np.tanh(v) ** 2) / 2 for v in (R, F)]
    log2 = np.log(2)
    for of_f in (
        case_of_f("kl", R, 1 + ZERO, np.exp(F - 1), np.exp(F - 1), F, 1 + ZERO),
        case_of_f("reverse_kl", -np.exp(-R), np.exp(-R), F - 1, 1 + ZERO, -np.exp(-F), np.exp(-F)),
        case_of_f("pearson", R, 1 + ZERO, F**2 / 4 + F, F / 2 + 1, F, 1 + ZERO),
        case_of_f(
            "neyman",
            1 - np.exp(-R),
            np.exp(-R),
            2 - 2 * np.exp(-F / 2),
            np.exp(-F / 2),
            1 - np.exp(-F),
            np.exp(-F),
        ),
        case_of_f(
            "hellinger",
            1 - np.exp(-R),
            np.exp(-R),
            np.exp(F) - 1,
            np.exp(F),
            1 - np.exp(-F),
            np.exp(-F),
        ),
        case_of_f(
            "jensen_shannon",
            *(
                log2 - softplus(-R),
                sigmoid(-R),
                softplus(F) - log2,
                sigmoid(F),
                log2 - softplus(-F),
                sigmoid(-F),
            ),
        ),
        case_of_f(
            "gan", -softplus(-R), sigmoid(-R), softplus(F), sigmoid(F), -softplus(-F), sigmoid(-F)
        ),
        case_of_f(
            "total_variation",
            *(
                np.tanh(R) / 2,
                tanh_slope[0],
                np.tanh(F) / 2,
                tanh_slope[1],
                np.tanh(F) / 2,
                tanh_slope[1],
            ),
        ),
    ):
        found |= dict(of_f)
    return found


CASES = cases()
# At patches these take a softmax over the samples for each position: not like more samples.
OVER_SAMPLES = {
    "softmax": softmax(),
    "dual_contrastive": dual_contrastive(practical=True),
    "dual_contrastive as in the paper": dual_contrastive(practical=False),
}


def leaf(values: Array, shape: tuple[int, ...] = (3,)) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape).requires_grad_()


def check_case(case: Case, shape: tuple[int, ...]) -> None:
    real, fake = leaf(case.real, shape), leaf(case.fake, shape)
    d = case.loss.discriminator(critique(real), critique(fake))
    g = case.loss.generator(critique(fake), critique(real))
    assert d.shape == g.shape == ()
    found = [d, *gradients(d, real, fake), g, *gradients(g, fake, real)]
    expected = [case.d, case.d_real, case.d_fake, case.g, case.g_fake, case.g_real]
    for ours, by_hand in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            ours.detach().numpy().flatten(), np.atleast_1d(by_hand), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("name", CASES | OVER_SAMPLES)
def test_by_hand(name: str) -> None:
    check_case((CASES | OVER_SAMPLES)[name], (3,))


@pytest.mark.parametrize("name", CASES)
def test_patches_count_like_samples(name: str) -> None:
    check_case(CASES[name], (1, 1, 1, 3))


def test_exponential_goes_on_along_its_tangent() -> None:
    real, fake = leaf(np.array([-12.0, 0.0, 0.0])), leaf(ZERO)
    loss = Exponential(limit=10.0).discriminator(critique(real), critique(fake))
    top = np.exp(10.0)
    assert loss.item() == pytest.approx((3 * top + 2) / 3 + 1)
    np.testing.assert_allclose(gradients(loss, real)[0].numpy(), [-top / 3, -1 / 3, -1 / 3])


def test_pulling_away_by_hand() -> None:
    """Cosines are 1/sqrt 2, 0 and 1/sqrt 2: of six ordered pairs four have the square 1/2."""
    codes = torch.tensor(
        [[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]], dtype=torch.float64, requires_grad=True
    )
    term = pulling_away(codes)
    assert term.item() == pytest.approx(1 / 3)
    np.testing.assert_allclose(
        gradients(term, codes)[0].numpy(), [[0, 1 / 3], [0, 0], [1 / 6, 0]], atol=1e-12
    )


def test_ebgan_generator_adds_the_pulling_away_term() -> None:
    energy = leaf(np.array([0.4, 1.3, 0.9]))
    codes = torch.tensor(
        [[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]], dtype=torch.float64, requires_grad=True
    )
    loss = EBGAN(pulling_away=0.3).generator(critique(energy, code=codes[:, :, None]))
    assert loss.item() == pytest.approx(2.6 / 3 + 0.1)
    np.testing.assert_allclose(
        gradients(loss, codes)[0].numpy(), [[0, 0.1], [0, 0], [0.05, 0]], atol=1e-12
    )


def test_began_controller_by_hand() -> None:
    loss = BEGAN(gamma=0.5, rate=0.1)
    real, fake = critique(torch.tensor([2.0, 4.0])), critique(torch.tensor([0.5, 0.5]))
    loss.update(real, fake)  # 0.1 (0.5 * 3 - 0.5)
    assert loss.k.item() == pytest.approx(0.1)
    assert loss.log_values(real, fake)["began_m"].item() == pytest.approx(3.0 + 1.0)
    for _ in range(20):
        loss.update(real, fake)
    assert loss.k.item() == 1.0
    for _ in range(20):
        loss.update(fake, real)  # 0.1 (0.5 * 0.5 - 3) each
    assert loss.k.item() == 0.0


def test_fisher_multiplier_by_hand() -> None:
    """The second moment is (1 + 9) / 4 + (4 + 0) / 4 = 3.5; a discriminator beyond the bound raises the price."""
    loss = Fisher(rho=0.01)
    loss.update(critique(torch.tensor([1.0, 3.0])), critique(torch.tensor([2.0, 0.0])))
    assert loss.multiplier.item() == pytest.approx(0.025)
    loss.update(critique(torch.zeros(2)), critique(torch.zeros(2)))
    assert loss.multiplier.item() == pytest.approx(0.015)
    log_values = loss.log_values(
        critique(torch.tensor([1.0, 3.0])), critique(torch.tensor([2.0, 0.0]))
    )
    assert log_values["fisher_ipm"].item() == pytest.approx(1 / 3.5**0.5)


@pytest.mark.parametrize(("slope", "slack"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (-1.0, -1.0)])
def test_loss_sensitive_by_hand(slope: float, slack: float) -> None:
    """Mean differences and margins 1, 2, 0: violations 2, -0.5, 1.75."""
    real_x = torch.zeros(3, 1, 1, 2, dtype=torch.float64)
    fake_x = (
        torch.tensor([[1.0, -1.0], [1.0, 3.0], [0.0, 0.0]], dtype=torch.float64)
        .view(3, 1, 1, 2)
        .requires_grad_()
    )
    real, fake = leaf(R), leaf(F)
    loss = LossSensitive(1.0, 0.2, slope)
    d = loss.discriminator(critique(real, real_x), critique(fake, fake_x))
    assert d.item() == pytest.approx(0.2 * 0.5 + (2 - 0.5 * slack + 1.75) / 3)
    by_real, by_fake, by_sample = gradients(d, real, fake, fake_x)
    active = np.array([1, slack, 1]) / 3
    np.testing.assert_allclose(by_real.numpy(), 0.2 / 3 + active)
    np.testing.assert_allclose(by_fake.numpy(), -active)
    assert not by_sample.any()  # the margin is detached
    g = loss.generator(critique(fake, fake_x))
    assert g.item() == pytest.approx(1.25 / 3)
    np.testing.assert_allclose(gradients(g, fake)[0].numpy(), THIRD)


def test_slope_one_has_the_gradients_of_wgan() -> None:
    """Of WGAN for the discriminator -L: a loss is a discriminator upside down."""
    real, fake = leaf(R), leaf(F)
    ours = LossSensitive(0.3, 0.0, 1.0).discriminator(critique(real), critique(fake))
    theirs = Wasserstein().discriminator(critique(-real), critique(-fake))
    torch.testing.assert_close(gradients(ours, real, fake), gradients(theirs, real, fake))
