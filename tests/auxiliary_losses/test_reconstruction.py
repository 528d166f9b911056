"""Values and gradients by hand, limits of the families, similarity of images, large inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.reconstruction import (
    L1,
    L2,
    SSIM,
    Charbonnier,
    Huber,
    LogCosh,
    Robust,
    SmoothL1,
    TripletDistance,
)

INF = math.inf

# the penalty of a difference d and its slope, d > 0
BY_HAND = {
    "l1": (L1(), lambda d: d, lambda d: 1.0),
    "l2": (L2(), lambda d: d**2, lambda d: 2 * d),
    "smooth l1": (
        SmoothL1(0.5),
        lambda d: d**2 if d < 0.5 else d - 0.25,
        lambda d: 2 * d if d < 0.5 else 1.0,
    ),
    "huber": (
        Huber(0.5),
        lambda d: d**2 / 2 if d < 0.5 else 0.5 * (d - 0.25),
        lambda d: min(d, 0.5),
    ),
    "log cosh": (LogCosh(), lambda d: math.log(math.cosh(d)), math.tanh),
    "charbonnier": (
        Charbonnier(0.3),
        lambda d: math.hypot(d, 0.3),
        lambda d: d / math.hypot(d, 0.3),
    ),
    "robust 2": (Robust(2, 0.5), lambda d: 2 * d**2, lambda d: 4 * d),
    "robust 1": (
        Robust(1, 0.5),
        lambda d: math.sqrt(4 * d**2 + 1) - 1,
        lambda d: 4 * d / math.sqrt(4 * d**2 + 1),
    ),
    "robust 0": (
        Robust(0, 0.5),
        lambda d: math.log(2 * d**2 + 1),
        lambda d: 4 * d / (2 * d**2 + 1),
    ),
    "robust -2": (
        Robust(-2, 0.5),
        lambda d: 8 * d**2 / (4 * d**2 + 4),
        lambda d: 4 * d / (d**2 + 1) ** 2,
    ),
    "robust -inf": (
        Robust(-INF, 0.5),
        lambda d: 1 - math.exp(-2 * d**2),
        lambda d: 4 * d * math.exp(-2 * d**2),
    ),
}
ALL = {name: term for name, (term, _, _) in BY_HAND.items()} | {"ssim": SSIM()}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_and_gradients_by_hand(name: str) -> None:
    """The mean over the batch and every dimension; the slope has the sign of the difference."""
    term, value, slope = BY_HAND[name]
    differences = [[0.1, -0.4], [0.7, -2.5], [0.9, 0.2]]
    target = torch.arange(6.0, dtype=torch.float64).view(3, 2)
    output = (target + torch.tensor(differences, dtype=torch.float64)).requires_grad_()
    loss = term(output, target)
    flat = [d for row in differences for d in row]
    assert loss.shape == ()
    assert loss.item() == pytest.approx(sum(value(abs(d)) for d in flat) / 6)
    (gradient,) = torch.autograd.grad(loss, output)
    expected = [math.copysign(slope(abs(d)), d) / 6 for d in flat]
    assert gradient.flatten().tolist() == pytest.approx(expected)
    assert term(target, output).item() == pytest.approx(loss.item())


@pytest.mark.parametrize("name", [name for name in BY_HAND if name != "charbonnier"])
def test_nothing_and_flat_where_equal(name: str) -> None:
    x = torch.randn(3, 4, requires_grad=True)
    loss = ALL[name](x, x.detach().clone())
    assert loss.item() == pytest.approx(0, abs=1e-7)
    assert torch.autograd.grad(loss, x)[0].abs().max() <= (1 if name == "l1" else 1e-6)


A, B = (
    torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
    for i in range(2)
)


@pytest.mark.parametrize(
    ("term", "limit"),
    [
        (Charbonnier(1e-9), L1()),
        (SmoothL1(1e-9), L1()),
        (Robust(2 - 1e-7, 0.7), Robust(2, 0.7)),
        (Robust(1e-9, 0.7), Robust(0, 0.7)),
        (Robust(-1e-9, 0.7), Robust(0, 0.7)),
        (Robust(-1e7, 0.7), Robust(-INF, 0.7)),
    ],
)
def test_limits(term: nn.Module, limit: nn.Module) -> None:
    a = A.clone().requires_grad_()
    ours, theirs = term(a, B), limit(a, B)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, a)[0] for loss in (ours, theirs)), rtol=1e-4, atol=1e-7
    )


def test_relatives() -> None:
    """A large delta is half of least squares; Charbonnier and robust alpha = 1 are one; smooth L1 is Huber / delta."""
    assert Huber(1e6)(A, B).item() == pytest.approx(L2()(A, B).item() / 2)
    assert Robust(2, 1)(A, B).item() == pytest.approx(L2()(A, B).item() / 2)
    assert Robust(1, 0.3)(A, B).item() == pytest.approx(Charbonnier(0.3)(A, B).item() / 0.3 - 1)
    assert SmoothL1(0.5)(A, B).item() == pytest.approx(Huber(0.5)(A, B).item() / 0.5)


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.0, 1e-4, 0.0, -1e-4, -2.0, -50.0, -INF])
def test_all_robust_losses_start_as_least_squares(alpha: float) -> None:
    """Small differences do not cancel in float32."""
    x = torch.full((2, 2), 1e-4)
    assert Robust(alpha, 0.5)(x, torch.zeros(2, 2)).item() == pytest.approx(
        1e-8 / (2 * 0.25), rel=1e-3
    )


@pytest.mark.parametrize("alpha", [1.0, 0.0, -2.0, -INF])
def test_robust_slopes_fall_for_outliers(alpha: float) -> None:
    d = torch.tensor([2.0, 4.0, 8.0], requires_grad=True)
    slopes = torch.autograd.grad(Robust(alpha, 1.0).penalty(d.square()).sum(), d)[0]
    assert ((slopes[1:] < slopes[:-1]) | (alpha == 1.0)).all()
    assert slopes.max() <= 1.0 + 1e-6


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [1e4, 1e9])
def test_large_inputs_stay_finite(name: str, size: float) -> None:
    draw = torch.Generator().manual_seed(0)
    output = (size * torch.randn(3, 1, 12, 12, generator=draw)).requires_grad_()
    loss = ALL[name](output, torch.randn(3, 1, 12, 12, generator=draw))
    assert loss.isfinite()
    assert torch.autograd.grad(loss, output)[0].isfinite().all()


# ------------------------------------------------------------------------- similarity


def ramp(size: int, channels: int = 1) -> Tensor:
    x = torch.linspace(-1, 1, size).expand(2, channels, size, size).clone()
    x[1] = x[1].rot90(1, (1, 2))
    return x


@pytest.mark.parametrize("size", [3, 4, 8, 10, 11, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_image_is_similar_to_itself_at_any_size(size: int, channels: int) -> None:
    x = ramp(size, channels).requires_grad_()
    assert SSIM()(x, x.detach()).item() == pytest.approx(0, abs=1e-5)
    loss = SSIM()(x, -x.detach())
    assert 0.1 < loss.item() <= 2
    assert torch.autograd.grad(loss, x)[0].flatten(1).any(1).all()


def test_ssim_of_flat_images_by_hand() -> None:
    """Without structure only luminance is left: (2 m n + c1) / (m^2 + n^2 + c1), intensities from 0 to 2."""
    m, n, c1 = 1.4, 0.6, (0.01 * 2) ** 2
    a, b = (
        torch.full((2, 1, 16, 16), v - 1, dtype=torch.float64, requires_grad=True) for v in (m, n)
    )
    loss = SSIM()(a, b)
    assert loss.item() == pytest.approx(1 - (2 * m * n + c1) / (m**2 + n**2 + c1), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, a)
    below = m**2 + n**2 + c1
    slope = -(2 * n * below - (2 * m * n + c1) * 2 * m) / below**2
    assert gradient.sum().item() == pytest.approx(slope, rel=1e-3)


def test_ssim_agrees_with_its_definition() -> None:
    """Moments under a Gaussian window of 11 pixels, written out, at the one place that needs no padding."""
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 1, 11, 11, generator=draw, dtype=torch.float64) for _ in range(2))
    ticks = torch.arange(-5.0, 6.0, dtype=torch.float64)
    window = (-ticks.square() / (2 * 1.5**2)).exp()
    window = window[:, None] * window / window.sum() ** 2
    mean = lambda x: (window * x).sum()  # noqa: E731
    va, vb, cov = (
        mean(a * a) - mean(a) ** 2,
        mean(b * b) - mean(b) ** 2,
        mean(a * b) - mean(a) * mean(b),
    )
    c1, c2 = 0.01**2, 0.03**2
    expected = (
        (2 * mean(a) * mean(b) + c1)
        * (2 * cov + c2)
        / ((mean(a) ** 2 + mean(b) ** 2 + c1) * (va + vb + c2))
    )
    from torchmetrics.functional.image import structural_similarity_index_measure as reference

    _, full = reference(a, b, data_range=1.0, return_full_image=True)
    assert full[0, 0, 5, 5].item() == pytest.approx(expected.item(), rel=1e-6)
    assert SSIM()(2 * a - 1, 2 * b - 1).item() == pytest.approx(
        1 - reference(a, b, data_range=1.0).item(), rel=1e-6
    )


def test_ssim_has_no_half_precision() -> None:
    a, b = ramp(16), ramp(16).flip(3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(SSIM()(a, b), SSIM()(a, b))
        assert SSIM()(a.bfloat16(), a.bfloat16()).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SmoothL1(0.0), "beta must be > 0, got 0.0"),
        (lambda: Huber(-1.0), "delta must be > 0, got -1.0"),
        (lambda: Charbonnier(0.0), "epsilon must be > 0, got 0.0"),
        (lambda: Robust(2.5), "alpha must be <= 2, got 2.5"),
        (lambda: Robust(math.nan), "alpha must be <= 2, got nan"),
        (lambda: Robust(1.0, 0.0), "scale must be > 0, got 0.0"),
        (lambda: SSIM(0.0), "sigma must be > 0, got 0.0"),
        (
            lambda: SSIM()(torch.zeros(2, 2), torch.zeros(2, 2)),
            r"SSIM needs images .* got shape \[2, 2\]",
        ),
        (lambda: SSIM()(torch.zeros(1, 1, 2, 9), torch.zeros(1, 1, 2, 9)), "3 pixels or more"),
        (
            lambda: L1()(torch.zeros(2, 1), torch.zeros(2)),
            r"the same shape, got \[2, 1\] and \[2\]",
        ),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_torch_agrees() -> None:
    assert Huber(0.4)(A, B).item() == pytest.approx(F.huber_loss(A, B, delta=0.4).item())
    assert LogCosh()(A, B).item() == pytest.approx((A - B).cosh().log().mean().item())


# -------------------------------------------------------------------- triplet


def test_triplet_by_hand() -> None:
    """Root mean squared distances: to the own targets 0.1 and 1, to the next ones 0.9 and 2; with a margin of 0.9."""
    target = torch.tensor([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]], dtype=torch.float64)
    output = torch.tensor(
        [[0.1, 0.1], [2.0, 2.0], [3.0, 3.0]], dtype=torch.float64, requires_grad=True
    )
    loss = TripletDistance(0.9)(output, target)
    assert loss.item() == pytest.approx((0.9 + 0.1 - 0.9 + 0.9 + 1 - 1) / 3)
    # each coordinate moves its distance by 1/2: the first two samples away from their own targets, towards the next
    expected = [[(0.5 + 0.5) / 3] * 2, [(0.5 + 0.5) / 3] * 2, [0.0, 0.0]]
    torch.testing.assert_close(
        torch.autograd.grad(loss, output)[0], torch.tensor(expected, dtype=torch.float64)
    )


def test_triplet_is_zero_at_targets_that_differ() -> None:
    assert TripletDistance(0.2)(A, A).item() == 0
    with pytest.raises(ValueError, match="a batch of >= 2 samples, got 1"):
        TripletDistance()(A[:1], A[:1])
    with pytest.raises(ValueError, match="margin must be > 0"):
        TripletDistance(0.0)
