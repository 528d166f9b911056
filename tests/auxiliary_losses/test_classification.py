"""Classification, matching and the prior: values and gradients by hand, limits, large inputs, several processes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from gan_zoo.auxiliary_losses.classification import (
    Contrastive,
    CrossEntropy,
    Focal,
    GaussianKL,
    Triplet,
)
from gan_zoo.core.distributed import average_gradients
from tests import processes

LOGITS = torch.tensor(
    [[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [-1.0, 1.0, 0.0], [0.0, 4.0, 1.0]], dtype=torch.float64
)
LABELS = torch.tensor([0, 1, 2, 1])
P = LOGITS.softmax(1)
OWN = P[torch.arange(4), LABELS]
ONE_HOT = torch.eye(3, dtype=torch.float64)[LABELS]
W = [0.5, 2.0, 1.0]
OWN_W = torch.tensor(W, dtype=torch.float64)[LABELS]


def graded(
    term: nn.Module, logits: Tensor = LOGITS, labels: Tensor = LABELS
) -> tuple[float, Tensor]:
    leaf = logits.clone().requires_grad_()
    loss = term(leaf, labels)
    assert loss.shape == ()
    return loss.item(), torch.autograd.grad(loss, leaf)[0]


def test_cross_entropy_by_hand() -> None:
    value, gradient = graded(CrossEntropy())
    assert value == pytest.approx(-OWN.log().mean().item())
    torch.testing.assert_close(gradient, (P - ONE_HOT) / 4)


def test_smoothed_cross_entropy_by_hand() -> None:
    target = 0.7 * ONE_HOT + 0.3 / 3
    value, gradient = graded(CrossEntropy(label_smoothing=0.3))
    assert value == pytest.approx(-(target * P.log()).sum(1).mean().item())
    torch.testing.assert_close(gradient, (P - target) / 4)


@pytest.mark.parametrize(
    "make", [CrossEntropy, lambda **kwargs: Focal(0.0, **kwargs)], ids=["plain", "focal 0"]
)
def test_class_weights_by_hand(make: Callable[..., nn.Module]) -> None:
    value, gradient = graded(make(class_weights=W))
    assert value == pytest.approx((-(OWN_W * OWN.log()).sum() / OWN_W.sum()).item())
    torch.testing.assert_close(gradient, OWN_W[:, None] * (P - ONE_HOT) / OWN_W.sum())
    plain, equal = graded(make()), graded(make(class_weights=[3.0, 3.0, 3.0]))
    torch.testing.assert_close(plain, equal)


def test_weighted_and_smoothed_is_torchs() -> None:
    ours, _ = graded(CrossEntropy(0.2, W))
    theirs = nn.CrossEntropyLoss(torch.tensor(W, dtype=torch.float64), label_smoothing=0.2)(
        LOGITS, LABELS
    )
    assert ours == pytest.approx(theirs.item())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("weights", [None, W])
def test_focal_by_hand(gamma: float, weights: list[float] | None) -> None:
    w = OWN_W if weights else torch.ones(4, dtype=torch.float64)
    value, gradient = graded(Focal(gamma, weights))
    assert value == pytest.approx((-(w * (1 - OWN) ** gamma * OWN.log()).sum() / w.sum()).item())
    # by the label's log-probability: -(1 - p)^gamma + gamma p (1 - p)^(gamma - 1) log p; times d log p / d logits
    slope = -((1 - OWN) ** gamma) + gamma * OWN * (1 - OWN) ** (gamma - 1) * OWN.log()
    torch.testing.assert_close(gradient, (w * slope / w.sum())[:, None] * (ONE_HOT - P))


def test_focal_hardly_counts_what_is_known() -> None:
    known, wrong = torch.tensor([[5.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    label = torch.tensor([0])
    ratio = [
        graded(term, known, label)[0] / graded(term, wrong, label)[0]
        for term in (Focal(2.0), CrossEntropy())
    ]
    assert ratio[0] < 1e-3 * ratio[1]


@pytest.mark.parametrize(
    "term", [CrossEntropy(), CrossEntropy(0.1), Focal(0.3), Focal(2.0), Focal(2.0, W)]
)
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_sure_logits_stay_finite(term: nn.Module, size: float) -> None:
    value, gradient = graded(term, size * torch.eye(3), torch.tensor([0, 1, 0]))
    assert math.isfinite(value)
    assert gradient.isfinite().all()


# ------------------------------------------------------------------------------ matching


def test_triplet_by_hand() -> None:
    """Distances 5 and 2 with margin 1.5: 4.5; distances 0 and 13: nothing, and no gradient."""
    anchor = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    match = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    other = torch.tensor([[0.0, 2.0], [5.0, 12.0]], dtype=torch.float64)
    loss = Triplet(1.5)(anchor, match, other)
    assert loss.item() == pytest.approx(4.5 / 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, anchor)
    torch.testing.assert_close(
        gradient,
        torch.tensor([[-0.3, -0.4 + 0.5], [0.0, 0.0]], dtype=torch.float64),
        rtol=1e-4,
        atol=1e-6,
    )


def features(seed: int, count: int = 4) -> Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_contrastive_by_hand() -> None:
    first, second = features(0), features(1)
    cosines = [[torch.cosine_similarity(a, b, 0).item() / 0.5 for b in second] for a in first]
    there = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(cosines)]
    back = [
        math.log(sum(map(math.exp, row))) - row[i]
        for i, row in enumerate(zip(*cosines, strict=True))
    ]
    leaf = first.clone().requires_grad_()
    loss = Contrastive(0.5)(leaf, second)
    assert loss.item() == pytest.approx((sum(there) + sum(back)) / 8)
    (gradient,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(
        (gradient * first).sum(1), torch.zeros(4, dtype=torch.float64)
    )  # lengths do not count
    assert gradient.any(1).all()


def test_contrastive_at_its_ends() -> None:
    same = torch.ones(6, 3)
    assert Contrastive()(same, same).item() == pytest.approx(math.log(6))
    assert Contrastive(0.01)(torch.eye(4), torch.eye(4)).item() == pytest.approx(0, abs=1e-6)
    assert Contrastive(0.01)(torch.eye(4), torch.eye(4).roll(1, 0)).item() == pytest.approx(
        100, rel=1e-3
    )


def test_kl_by_hand() -> None:
    """The sum over dimensions, the mean over the batch; gradients mu and (sigma^2 - 1)/2 for each sample."""
    mu, log_variance = features(2), features(3)
    leaves = [mu.clone().requires_grad_(), log_variance.clone().requires_grad_()]
    loss = GaussianKL()(*leaves)
    theirs = kl_divergence(Normal(mu, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(loss, theirs)
    by_mu, by_variance = torch.autograd.grad(loss, leaves)
    torch.testing.assert_close(by_mu, mu / 4)
    torch.testing.assert_close(by_variance, (log_variance.exp() - 1) / 8)
    assert GaussianKL()(torch.zeros(3, 2), torch.zeros(3, 2)).item() == 0


def test_large_features_stay_finite() -> None:
    for size in (1e4, -1e4):
        leaves = [(size * torch.ones(3, 2)).requires_grad_() for _ in range(3)]
        losses = [Triplet()(*leaves), Contrastive()(*leaves[:2]), GaussianKL()(*leaves[:2])]
        for loss in losses:
            assert loss.isfinite()
            assert all(
                g is None or g.isfinite().all()
                for g in torch.autograd.grad(loss, leaves, allow_unused=True)
            )
    zero = torch.zeros(3, 2, requires_grad=True)
    assert torch.autograd.grad(Contrastive()(zero, zero), zero)[0].isfinite().all()
    below, above = (torch.full((1, 1), v, requires_grad=True) for v in (19.999, 20.001))
    slopes = [
        torch.autograd.grad(GaussianKL()(torch.zeros(1, 1), v), v)[0].item() for v in (below, above)
    ]
    assert slopes[0] == pytest.approx(slopes[1], rel=2e-3), "it continues along the tangent"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CrossEntropy(1.0), r"label_smoothing must be in \[0, 1\), got 1.0"),
        (
            lambda: CrossEntropy(0.0, [1.0, -1.0]),
            r"class_weights must be numbers >= 0, not all 0, got \[1.0, -1.0\]",
        ),
        (lambda: Focal(class_weights=[0.0, 0.0]), "class_weights must be numbers"),
        (
            lambda: CrossEntropy(0.0, [1.0])(LOGITS, LABELS),
            "one number for each of the 3 classes, got 1",
        ),
        (lambda: Focal(2.0, [1.0])(LOGITS, LABELS), "one number for each of the 3 classes, got 1"),
        (lambda: Focal()(LOGITS[0], LABELS), r"logits must be \[B, K\], got shape \[3\]"),
        (lambda: Focal(-1.0), "gamma must be >= 0, got -1.0"),
        (lambda: Triplet(0.0), "margin must be > 0, got 0.0"),
        (lambda: Contrastive(0.0), "temperature must be > 0, got 0.0"),
        (lambda: Contrastive()(torch.ones(1, 2), torch.ones(1, 2)), "a batch of >= 2 pairs, got 1"),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_nothing_to_save() -> None:
    for term in (CrossEntropy(0.0, W), Focal(2.0, W), Triplet(), Contrastive(), GaussianKL()):
        assert term.state_dict() == {}


# -------------------------------------------------------------------- several processes


def gradients(rank: int, ranks: int) -> list[Tensor]:
    """Averaged gradients of a linear layer under each term that is no mean over samples."""
    found = []
    rows = slice(rank * 4 // ranks, (rank + 1) * 4 // ranks)
    for name, term in {
        "weighted": CrossEntropy(0.1, W),
        "focal": Focal(2.0, W),
        "contrastive": Contrastive(),
    }.items():
        layer = nn.Linear(5, 3, dtype=torch.float64)
        nn.init.orthogonal_(layer.weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(layer.bias)
        seen = layer(features(4)[rows])
        (
            term(seen, layer(features(5)[rows]))
            if name == "contrastive"
            else term(seen, LABELS[rows])
        ).backward()
        average_gradients(layer.parameters())
        found.append(layer.weight.grad)
    return found


def work(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    try:
        torch.save(gradients(rank, 2), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    processes.on_ranks(work, 2, str(tmp_path))
    for alone, first, second in zip(
        gradients(0, 1), *(torch.load(tmp_path / f"{rank}.pt") for rank in range(2)), strict=True
    ):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        torch.testing.assert_close(first, alone)
