"""The frozen network: what it sees, where gradients go, what is saved and what moves."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.perceptual import Lite0Features, Perceptual, Style, gram
from gan_zoo.metrics.extractors.efficientnet_lite0 import EfficientNetLite0


class Two(nn.Module):
    """Two layers of features that can be computed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.norm = nn.Parameter(torch.tensor(2.0)), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.scale * x, x.mean((2, 3))]


@pytest.fixture(scope="module")
def lite0() -> Perceptual:
    return Perceptual(Lite0Features(image_size=None))


def random_images(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


A, B = random_images(0, 3, 3, 4, 4), random_images(1, 3, 3, 4, 4)


def test_by_hand_in_the_networks_units() -> None:
    a = A.clone().requires_grad_()
    loss = Perceptual(Two(), [0.5, 3.0], normalize=False)(a, B)
    means = (A - B).mean((2, 3))
    assert loss.item() == pytest.approx(
        (2 * (A - B).square().mean() + 3 * means.square().mean()).item(), rel=1e-5
    )
    (gradient,) = torch.autograd.grad(loss, a)
    expected = 4 * (A - B) / A.numel() + 6 * means[:, :, None, None] / means.numel() / 16
    torch.testing.assert_close(gradient, expected)


def test_by_hand_with_lengths_one() -> None:
    """Squared distances of unit vectors are 2 - 2 cos; the mean over samples and places, the sum over layers."""
    cos, of_means = (
        torch.cosine_similarity(A, B),
        torch.cosine_similarity(A.mean((2, 3)), B.mean((2, 3))),
    )
    expected = (2 - 2 * cos).mean() + (2 - 2 * of_means).mean()
    assert Perceptual(Two())(A, B).item() == pytest.approx(expected.item(), rel=1e-5)
    assert Perceptual(Two())(A, 7 * A).item() == pytest.approx(0, abs=1e-6)
    dark = torch.zeros(1, 3, 4, 4, requires_grad=True)
    assert torch.autograd.grad(Perceptual(Two())(dark, B[:1]), dark)[0].abs().max() < 1e3


def test_the_network_is_the_metrics_own() -> None:
    """The deepest features, pooled, are the extractor's, up to its rounding of images to bytes."""
    pixels = torch.randint(
        0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    expected, _ = EfficientNetLite0(64)(pixels)
    (head,) = Lite0Features(["head"])(pixels / 127.5 - 1)
    torch.testing.assert_close(head.mean((2, 3)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 33])
def test_layers_are_named(size: int, channels: int) -> None:
    names = ["stage3", "stem", "stage1"]
    stem, stage1, stage3 = Lite0Features(names, image_size=None)(
        random_images(0, 2, channels, size, size)
    )
    half, eighth = -(-size // 2), -(-size // 8)
    assert [f.shape for f in (stem, stage1, stage3)] == [
        (2, 32, half, half),
        (2, 16, half, half),
        (2, 40, eighth, eighth),
    ]
    assert Lite0Features(["stage2"])(random_images(0, 2, channels, size, size))[0].shape == (
        2,
        24,
        16,
        16,
    )


def test_zero_for_equal_images_and_gradients_otherwise(lite0: Perceptual) -> None:
    a, b = (random_images(seed, 2, 3, 32, 32).requires_grad_() for seed in range(2))
    assert lite0(a, a).item() == 0
    by_a, by_b = torch.autograd.grad(lite0(a, b), (a, b))
    assert by_a.flatten(1).any(1).all()
    assert by_b.flatten(1).any(1).all()
    step = (a - 0.5 * by_a / by_a.norm()).detach()
    assert lite0(step, b) < lite0(a, b)


def test_large_images_stay_finite(lite0: Perceptual) -> None:
    a = (1e4 * random_images(0, 2, 3, 32, 32)).requires_grad_()
    loss = lite0(a, random_images(1, 2, 3, 32, 32))
    assert 0 < loss.item() <= 12
    assert torch.autograd.grad(loss, a)[0].isfinite().all()


def test_frozen_and_not_saved(lite0: Perceptual) -> None:
    term = Perceptual(Two())
    model = nn.ModuleDict({"term": term}).train().requires_grad_(True)
    assert model.state_dict() == {}
    assert not list(model.parameters())
    assert not list(model.buffers())
    model.load_state_dict({})
    assert not term.features.training
    assert not any(p.requires_grad for p in term.features.parameters())
    assert not any(p.requires_grad for p in lite0.features.parameters())


def test_the_network_moves_and_is_copied_along() -> None:
    term = Perceptual(Two())
    assert nn.ModuleDict({"term": term}).double()["term"].features.scale.dtype == torch.float64
    assert term(A.double(), B.double()).dtype == torch.float64
    assert nn.ModuleDict({"term": term}).to("meta")["term"].features.scale.device.type == "meta"
    for other in (copy.deepcopy(Perceptual(Two())), pickle.loads(pickle.dumps(Perceptual(Two())))):
        assert other(A, B) == Perceptual(Two())(A, B)
    assert (
        Perceptual(Lite0Features(["stem"], None)).double()(A.double(), B.double()).dtype
        == torch.float64
    )


def test_autocast_does_not_reach_it(lite0: Perceptual) -> None:
    a, b = (random_images(seed, 2, 3, 32, 32) for seed in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        assert lite0(a, b).dtype == torch.float32
        assert torch.equal(lite0(a, b), Perceptual(Lite0Features(image_size=None))(a, b))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Lite0Features(["stage9"]),
            "layers must be a list of stem, stage1, .*, head, got 'stage9'",
        ),
        (lambda: Lite0Features("stem"), "layers must be a list of .*, got 'stem'"),
        (lambda: Lite0Features([]), r"layers must be a list of .*, got \[\]"),
        (lambda: Lite0Features(image_size=4), "image_size must be >= 8 or null, got 4"),
        (lambda: Lite0Features(["stem"])(torch.zeros(2, 4, 8, 8)), r"got shape \[2, 4, 8, 8\]"),
        (lambda: Perceptual(Two(), [1.0])(A, B), "one number for each of 2 layers, got 1"),
        (lambda: Perceptual(Two(), [1.0, -1.0]), "layer_weights must be numbers >= 0"),
        (lambda: Perceptual(Two())(A, B[:1]), "the same shape"),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


# -------------------------------------------------------------------- style


def test_a_gram_matrix_by_hand() -> None:
    """Two features at two places: (1, 2) and (3, 4); products 5, 11 and 25, over 2 places and 2 features."""
    activations = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    torch.testing.assert_close(gram(activations), torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4)


class Itself(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


def test_style_by_hand() -> None:
    """||G - H||_F^2, the mean over samples; its derivative by a is 4 (G - H) a / (F N) / B."""
    a = A.double().requires_grad_()
    rows, others = (x.double().flatten(2) for x in (A, B))
    difference = (rows @ rows.transpose(1, 2) - others @ others.transpose(1, 2)) / 48
    loss = Style(Itself(), [2.0])(a, B.double())
    assert loss.item() == pytest.approx(2 * difference.square().sum((1, 2)).mean().item())
    by_hand = 2 * 4 * torch.einsum("bij,bjhw->bihw", difference, A.double()) / 48 / len(A)
    torch.testing.assert_close(torch.autograd.grad(loss, a)[0], by_hand)


def test_style_does_not_know_places() -> None:
    shuffled = A.flatten(2)[
        :, :, torch.randperm(16, generator=torch.Generator().manual_seed(0))
    ].view_as(A)
    assert Style(Itself())(A, shuffled).item() == pytest.approx(0, abs=1e-10)
    assert Perceptual(Itself())(A, shuffled).item() > 0.1
