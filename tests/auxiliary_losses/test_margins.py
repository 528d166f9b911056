"""Classification losses on margins and against distributions: values and gradients by hand, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.margins import (
    ClassTriplet,
    ExponentialMargins,
    LargeMarginSoftmax,
    LogisticMargins,
    MulticlassHinge,
)
from gan_zoo.auxiliary_losses.soft_targets import CategoricalKL, SigmoidCrossEntropy, SoftTargets

LOGITS = [[2.0, 0.5, -1.0], [0.0, 1.0, 3.0]]
LABELS = torch.tensor([0, 1])  # right by 1.5 and 3; wrong: ahead of 0 by 1, behind 2 by 2


def value_and_gradient(
    term: nn.Module, targets: Tensor = LABELS
) -> tuple[float, list[list[float]]]:
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    loss = term(logits, targets)
    assert loss.shape == ()
    return loss.item(), torch.autograd.grad(loss, logits)[0].tolist()


def check(
    found: tuple[float, list[list[float]]], value: float, gradient: list[list[float]]
) -> None:
    assert found[0] == pytest.approx(value)
    for ours, by_hand in zip(found[1], gradient, strict=True):
        assert ours == pytest.approx(by_hand, abs=1e-12)


def sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


def test_hinge_by_hand() -> None:
    """The smallest margins are 1.5 and -2: costs 0 and 3, and with a margin of 2, 0.5 and 4."""
    check(value_and_gradient(MulticlassHinge()), 1.5, [[0, 0, 0], [0, -0.5, 0.5]])
    check(value_and_gradient(MulticlassHinge(2.0)), 2.25, [[-0.5, 0.5, 0], [0, -0.5, 0.5]])


def test_exponential_by_hand() -> None:
    """Margins 1.5, 3 and 1, -2."""
    a, b, c, d = math.exp(-1.5), math.exp(-3.0), math.exp(-1.0), math.exp(2.0)
    gradient = [[-(a + b) / 2, a / 2, b / 2], [c / 2, -(c + d) / 2, d / 2]]
    check(value_and_gradient(ExponentialMargins()), (a + b + c + d) / 2, gradient)
    e = math.e
    on_tangent = e * (1 + 2 - 1)  # beyond a deficit of 1: e^1 and its slope e^1
    gradient = [[-(a + b) / 2, a / 2, b / 2], [c / 2, -(c + e) / 2, e / 2]]
    check(value_and_gradient(ExponentialMargins(1.0)), (a + b + c + on_tangent) / 2, gradient)


def test_logistic_by_hand() -> None:
    value = sum(math.log1p(math.exp(-m)) for m in (1.5, 3.0, 1.0, -2.0)) / 2
    a, b, c, d = (sigmoid(-m) / 2 for m in (1.5, 3.0, 1.0, -2.0))
    check(value_and_gradient(LogisticMargins()), value, [[-a - b, a, b], [c, -c - d, d]])


def test_logistic_of_two_classes_is_cross_entropy() -> None:
    logits, labels = torch.tensor([[0.3, -1.0], [2.0, 0.5]]), torch.tensor([0, 1])
    assert LogisticMargins()(logits, labels).item() == pytest.approx(
        F.cross_entropy(logits, labels).item()
    )


def test_large_margin_by_hand() -> None:
    """The label's logit is lowered by m before the softmax: 2 - 1 = 1 against 0.5, -1, and 1 - 1 = 0 against 0, 3."""
    first, second = [math.exp(v) for v in (1.0, 0.5, -1.0)], [math.exp(v) for v in (0.0, 0.0, 3.0)]
    p, q = [v / sum(first) for v in first], [v / sum(second) for v in second]
    gradient = [[(p[0] - 1) / 2, p[1] / 2, p[2] / 2], [q[0] / 2, (q[1] - 1) / 2, q[2] / 2]]
    check(
        value_and_gradient(LargeMarginSoftmax(1.0)),
        -(math.log(p[0]) + math.log(q[1])) / 2,
        gradient,
    )


def test_class_triplet_by_hand() -> None:
    """Probabilities 3/4 and 1/4: distances sqrt 2 / 4 and 3 sqrt 2 / 4 from the corners."""
    logits = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64, requires_grad=True)
    loss = ClassTriplet(1.0)(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(1 - math.sqrt(2) / 2)
    wrong = ClassTriplet(1.0)(logits, torch.tensor([1]))
    assert wrong.item() == pytest.approx(1 + math.sqrt(2) / 2)
    # the distances are sqrt 2 (1 - p_0) and sqrt 2 p_0, and dp_0 / dz_0 = 3/16
    slope = -2 * math.sqrt(2) * 3 / 16
    assert torch.autograd.grad(loss, logits)[0].tolist() == [pytest.approx([slope, -slope])]
    sure = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    assert (
        torch.autograd.grad(ClassTriplet(2**0.5)(sure, torch.tensor([0])), sure)[0].isfinite().all()
    )


def test_soft_targets_by_hand() -> None:
    """T = 2 and a teacher with probabilities (0.64, 0.36, 0): softened (0.8, 0.6, 0) / 1.4."""
    teacher = torch.tensor([[0.64, 0.36, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    q = [[0.8 / 1.4, 0.6 / 1.4, 0.0], [0.0, 0.0, 1.0]]
    p = [[math.exp(z / 2) / sum(math.exp(v / 2) for v in row) for z in row] for row in LOGITS]
    value = -4 * sum(q[i][k] * math.log(p[i][k]) for i in range(2) for k in range(3)) / 2
    gradient = [[2 * (p[i][k] - q[i][k]) / 2 for k in range(3)] for i in range(2)]
    check(value_and_gradient(SoftTargets(2.0), teacher), value, gradient)


def test_soft_targets_of_class_numbers_are_smoothed() -> None:
    """At T = 1 they are cross-entropy with label smoothing."""
    expected = F.cross_entropy(torch.tensor(LOGITS), LABELS, label_smoothing=0.3).item()
    assert SoftTargets(1.0, 0.3)(torch.tensor(LOGITS), LABELS).item() == pytest.approx(expected)


def test_categorical_kl_by_hand() -> None:
    q = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    p = [[math.exp(z) / sum(math.exp(v) for v in row) for z in row] for row in LOGITS]
    rows = [(float(q[i, k]), p[i][k]) for i in range(2) for k in range(3)]
    value = sum(a * math.log(a / b) for a, b in rows if a > 0) / 2
    gradient = [[(p[i][k] - float(q[i, k])) / 2 for k in range(3)] for i in range(2)]
    check(value_and_gradient(CategoricalKL(), q), value, gradient)
    assert CategoricalKL()(q.clamp_min(1e-30).log(), q).item() == pytest.approx(0, abs=1e-12)


def test_categorical_kl_of_class_numbers_is_cross_entropy_minus_the_targets_entropy() -> None:
    smoothed = [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]
    entropy = -sum(v * math.log(v) for v in smoothed)
    expected = F.cross_entropy(torch.tensor(LOGITS), LABELS, label_smoothing=0.1).item() - entropy
    assert CategoricalKL(0.1)(torch.tensor(LOGITS), LABELS).item() == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("targets", [LABELS, torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])])
def test_sigmoid_by_hand(targets: Tensor) -> None:
    one_hot = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    terms = [
        -t * math.log(sigmoid(z)) - (1 - t) * math.log(1 - sigmoid(z))
        for row, of_row in zip(LOGITS, one_hot, strict=True)
        for z, t in zip(row, of_row, strict=True)
    ]
    gradient = [[(sigmoid(LOGITS[i][k]) - one_hot[i][k]) / 6 for k in range(3)] for i in range(2)]
    check(value_and_gradient(SigmoidCrossEntropy(), targets), sum(terms) / 6, gradient)


def test_several_labels_at_once() -> None:
    logits = torch.tensor([[9.0, 9.0, -9.0]], dtype=torch.float64)
    both = SigmoidCrossEntropy()(logits, torch.tensor([[1.0, 1.0, 0.0]]))
    assert both.item() == pytest.approx(math.log1p(math.exp(-9)))


TERMS = [
    LargeMarginSoftmax(),
    MulticlassHinge(),
    ExponentialMargins(),
    LogisticMargins(),
    ClassTriplet(),
]
TERMS += [SoftTargets(), CategoricalKL(), SigmoidCrossEntropy()]


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_logits_are_finite_and_the_loss_is_float32(
    term: nn.Module, dtype: torch.dtype
) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 3.0]], dtype=dtype, requires_grad=True)
    for labels in (LABELS, 1 - LABELS):
        loss = term(logits, labels)
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert torch.autograd.grad(loss, logits)[0].isfinite().all()


@pytest.mark.parametrize("term", TERMS[:-1], ids=lambda term: type(term).__name__)
def test_a_constant_on_all_logits_changes_nothing(term: nn.Module) -> None:
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    assert term(logits + 5, LABELS).item() == pytest.approx(term(logits, LABELS).item())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LargeMarginSoftmax(0.0), "margin must be > 0, got 0.0"),
        (lambda: MulticlassHinge(-1.0), "margin must be > 0, got -1.0"),
        (lambda: ExponentialMargins(0.0), "limit must be > 0"),
        (lambda: ClassTriplet(2.0), r"margin must be in \(0, sqrt 2\], got 2.0"),
        (lambda: SoftTargets(0.0), "temperature must be > 0"),
        (lambda: CategoricalKL(1.0), r"label_smoothing must be in \[0, 1\), got 1.0"),
        (lambda: MulticlassHinge()(torch.zeros(3), LABELS), r"logits must be \[B, K\]"),
        (
            lambda: CategoricalKL()(torch.zeros(2, 3), torch.zeros(2, 4)),
            r"targets must be class numbers .*got .*\[2, 4\]",
        ),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
