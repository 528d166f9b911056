"""Regularizers on discriminators whose gradients are known, for samples of shape [B, C, H, W]."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm
from gan_zoo.losses.loss_sensitive import LossSensitive
from gan_zoo.networks.condition_encoders import ClassCondition
from gan_zoo.networks.packing import PackedDiscriminator
from gan_zoo.networks.r3gan import BiasedLeakyReLU, R3GANDiscriminator
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.regularizers.consistency import Consistency, gather_pixels, random_indices
from gan_zoo.regularizers.dragan import DRAGAN
from gan_zoo.regularizers.gradient_penalty import GradientPenalty
from gan_zoo.regularizers.lecam import LeCam
from gan_zoo.regularizers.orthogonal import Orthogonal
from gan_zoo.regularizers.weight_clip import WeightClip
from gan_zoo.regularizers.zero_centered import R1, R2

from .zoo import (
    OWN_CRITICS,
    REGULARIZERS,
    LinearCritic,
    QuadraticCritic,
    critique,
    duel_of,
    gradients,
)

NOISE = StepRNG(seed=3, step=5)
SHAPE = (3, 4, 5)


def random_images(seed: int, count: int = 6) -> Tensor:
    return torch.randn(
        count, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


REAL, FAKE, WEIGHT = random_images(0), random_images(1), random_images(2, 1)[0]
SMALL = WEIGHT / WEIGHT.norm() / 2


def penalize(
    regularizer: Regularizer, discriminator: nn.Module, real: Tensor = REAL, fake: Tensor = FAKE
) -> Tensor:
    term = duel_of(discriminator, real, fake)
    penalty = regularizer.penalty(term, term.discriminate_real(), term.discriminate_fake(), NOISE)
    assert penalty is not None
    assert penalty.shape == ()
    return penalty


# the penalty of D(x) = w . x and its derivative by |w|, at |w| = n
ON_LINEAR = {
    "gradient penalty": (GradientPenalty(7.0), lambda n: 7 * (n - 1) ** 2, lambda n: 14 * (n - 1)),
    "one-sided": (
        GradientPenalty(7.0, one_sided=True),
        lambda n: 7 * max(n - 1, 0) ** 2,
        lambda n: 14 * max(n - 1, 0),
    ),
    "dragan": (DRAGAN(7.0), lambda n: 7 * (n - 1) ** 2, lambda n: 14 * (n - 1)),
    "r1": (R1(7.0), lambda n: 3.5 * n**2, lambda n: 7 * n),
    "r2": (R2(7.0), lambda n: 3.5 * n**2, lambda n: 7 * n),
}


@pytest.mark.parametrize("name", ON_LINEAR)
@pytest.mark.parametrize("weight", [WEIGHT, SMALL], ids=["steep", "flat"])
@pytest.mark.parametrize("count", [1, 6])
def test_exact_on_linear_critics(name: str, weight: Tensor, count: int) -> None:
    regularizer, value, slope = ON_LINEAR[name]
    discriminator, length = LinearCritic(weight.clone()), weight.norm().item()
    penalty = penalize(regularizer, discriminator, REAL[:count], FAKE[:count])
    assert penalty.item() == pytest.approx(value(length), rel=1e-12)
    torch.testing.assert_close(
        gradients(penalty, discriminator.weight)[0], slope(length) * weight / length
    )


def squared_norms(x: Tensor) -> Tensor:
    return x.square().sum((1, 2, 3))


@pytest.mark.parametrize(
    ("regularizer", "side"), [(R1(3.0), REAL), (R2(3.0), FAKE)], ids=["r1", "r2"]
)
def test_zero_centered_on_a_quadratic_critic(regularizer: Regularizer, side: Tensor) -> None:
    """The gradient of D at x is a x: gamma/2 E |a x|^2, whose derivative by a is gamma E a x^2."""
    discriminator = QuadraticCritic(WEIGHT.clone())
    penalty = penalize(regularizer, discriminator)
    assert penalty.item() == pytest.approx(1.5 * squared_norms(WEIGHT * side).mean().item())
    torch.testing.assert_close(
        gradients(penalty, discriminator.weight)[0], 3.0 * (WEIGHT * side**2).mean(0)
    )


def two_sided(lengths: Tensor, weight: float) -> float:
    return weight * (lengths - 1).square().mean().item()


def test_gradient_penalty_on_a_quadratic_critic() -> None:
    """One epsilon for each sample, from the step's generator."""
    epsilon = NOISE.uniform("gradient_penalty/adversarial", 6).view(6, 1, 1, 1)
    lengths = squared_norms(WEIGHT * (epsilon * REAL + (1 - epsilon) * FAKE)).sqrt()
    ours = penalize(GradientPenalty(7.0), QuadraticCritic(WEIGHT.clone()))
    assert ours.item() == pytest.approx(two_sided(lengths, 7.0))


def dragan_points(per_input: int = 1) -> Tensor:
    """x + a * 1/2 s u: one a for each input, one u for each dimension, s over all numbers of the batch."""
    direction = NOISE.uniform("dragan/adversarial", 6, *SHAPE)
    amount = NOISE.uniform("dragan amount/adversarial", 6 // per_input).repeat_interleave(per_input)
    return REAL + amount.view(6, 1, 1, 1) * 0.5 * np.std(REAL.numpy()) * direction


def test_dragan_on_a_quadratic_critic() -> None:
    lengths = squared_norms(WEIGHT * dragan_points()).sqrt()
    ours = penalize(DRAGAN(7.0), QuadraticCritic(WEIGHT.clone()))
    assert ours.item() == pytest.approx(two_sided(lengths, 7.0))
    at_reals = two_sided(squared_norms(WEIGHT * REAL).sqrt(), 7.0)
    assert penalize(
        DRAGAN(7.0, scale=0.0), QuadraticCritic(WEIGHT.clone())
    ).item() == pytest.approx(at_reals)


class Recorder(LinearCritic):
    """Keeps its last inputs."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        self.seen = x.detach()
        self.condition = condition
        return super().forward(x)


def test_the_mean_displacement_of_dragan_is_that_of_the_authors() -> None:
    """E a u = 1/4, times half a standard deviation; without a it would be twice that."""
    discriminator, real = Recorder(torch.ones(1, 8, 8)), torch.randn(4000, 1, 8, 8)
    penalize(DRAGAN(), discriminator, real, real)
    moved_by = (discriminator.seen - real) / (0.5 * real.std())
    assert moved_by.mean().item() == pytest.approx(1 / 4, abs=0.01)
    per_sample = moved_by.flatten(1).mean(1)
    assert per_sample.std().item() == pytest.approx(1 / 2 / math.sqrt(12), abs=0.02), (
        "a is one for each sample"
    )


# ------------------------------------------------------------------ packs


def packed(make: Callable[[Tensor], nn.Module], weight: Tensor) -> PackedDiscriminator:
    """A discriminator of packs of two samples."""
    return PackedDiscriminator(lambda sample_shape: make(weight.clone()), SHAPE, pack=2)


PACK_WEIGHT = torch.cat(list(random_images(4, 2)))


@pytest.mark.parametrize("name", ON_LINEAR)
@pytest.mark.parametrize("length", [1.0, 3.0])
def test_a_pack_is_one_input(name: str, length: float) -> None:
    """A linear discriminator of packs has the slope |w| of the complete pack's weights; at 1 GP is zero."""
    regularizer, value, slope = ON_LINEAR[name]
    weight = PACK_WEIGHT / PACK_WEIGHT.norm() * length
    discriminator = packed(LinearCritic, weight)
    penalty = penalize(regularizer, discriminator)
    assert penalty.item() == pytest.approx(value(length), rel=1e-12, abs=1e-12)
    by_weight = gradients(penalty, discriminator.discriminator.weight)[0]
    torch.testing.assert_close(by_weight, slope(length) * weight / length, atol=1e-10, rtol=1e-7)


def in_packs(x: Tensor) -> Tensor:
    return x.reshape(3, 6, 4, 5)


def test_penalties_of_packs_on_a_quadratic_critic() -> None:
    """The slope at a pack is a x over both of its samples; a pack moves along one line, by one epsilon."""
    epsilon = NOISE.uniform("gradient_penalty/adversarial", 3).view(3, 1, 1, 1)
    interpolates = epsilon * in_packs(REAL) + (1 - epsilon) * in_packs(FAKE)
    discriminator = packed(QuadraticCritic, PACK_WEIGHT)
    expected = {
        GradientPenalty(7.0): two_sided(squared_norms(PACK_WEIGHT * interpolates).sqrt(), 7.0),
        DRAGAN(7.0): two_sided(squared_norms(PACK_WEIGHT * in_packs(dragan_points(2))).sqrt(), 7.0),
        R1(3.0): 1.5 * squared_norms(PACK_WEIGHT * in_packs(REAL)).mean().item(),
        R2(3.0): 1.5 * squared_norms(PACK_WEIGHT * in_packs(FAKE)).mean().item(),
    }
    for regularizer, value in expected.items():
        assert penalize(regularizer, discriminator).item() == pytest.approx(value)


# ------------------------------------------------------------------ mismatched conditions


class ToldCritic(nn.Module):
    """D(x, c) = w_c . x, which is 1-Lipschitz in x where |w_c| <= 1."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        self.seen = x.detach()
        self.condition = condition
        return (x * self.weights[condition]).flatten(1).sum(1)


RIGHT, WRONG = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1, 2, 1, 2, 0, 2])
SLOPES = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)


def mismatched(discriminator: nn.Module) -> AdversarialTerm:
    return AdversarialTerm(
        "wrong", discriminator, REAL, REAL, RIGHT, WRONG, mismatched=True
    ).with_input_gradients(real=True, fake=True)


def told_critic() -> ToldCritic:
    return ToldCritic(SLOPES.view(3, 1, 1, 1) * WEIGHT / WEIGHT.norm())


def test_a_mismatched_duel_is_penalized_under_its_wrong_conditions() -> None:
    """7 E (|w_c'| - 1)^2; under the right conditions it would be 7 * (1/4 + 1) / 2."""
    discriminator = told_critic()
    term = mismatched(discriminator)
    penalty = GradientPenalty(7.0).penalty(
        term, term.discriminate_real(), term.discriminate_fake(), NOISE
    )
    assert penalty.item() == pytest.approx(7 * (SLOPES[WRONG] - 1).square().mean().item())
    assert torch.equal(discriminator.condition, WRONG)


def test_lines_of_a_mismatched_duel_run_between_different_reals() -> None:
    discriminator = told_critic()
    term = mismatched(discriminator)
    GradientPenalty().penalty(term, term.discriminate_real(), term.discriminate_fake(), NOISE)
    epsilon = NOISE.uniform("gradient_penalty/wrong", 6).view(6, 1, 1, 1)
    torch.testing.assert_close(
        discriminator.seen, epsilon * REAL[[1, 2, 3, 4, 5, 0]] + (1 - epsilon) * REAL
    )


@pytest.mark.parametrize(
    ("regularizer", "rows"), [(R1(3.0), RIGHT), (R2(3.0), WRONG)], ids=["r1", "r2"]
)
def test_zero_centered_penalties_see_both_sides_of_a_mismatched_term(
    regularizer: Regularizer, rows: Tensor
) -> None:
    term = mismatched(told_critic())
    penalty = regularizer.penalty(term, term.discriminate_real(), term.discriminate_fake(), NOISE)
    assert penalty.item() == pytest.approx(1.5 * SLOPES[rows].square().mean().item())


def test_a_wrong_pair_has_to_cost_more_than_the_right_one() -> None:
    """The distance of (x, c) and (x, c') is 0 + 1, so the margin is lambda; D(x, 0) = 0, D(x, 1) = 1, D(x, 2) = 4."""

    class ByCondition(nn.Module):
        def forward(self, x: Tensor, condition: Tensor) -> Tensor:
            return condition.double().square()

    term = mismatched(ByCondition())
    real, fake = term.discriminate_real(), term.discriminate_fake()
    violations = (2.5 + RIGHT.double() ** 2 - WRONG.double() ** 2).relu()
    loss = LossSensitive(2.5)
    assert loss.discriminator(real, fake).item() == pytest.approx(violations.mean().item())
    assert loss.log_values(real, fake)["margin"].item() == pytest.approx(2.5)
    told_alike = AdversarialTerm("match", ByCondition(), REAL, FAKE, RIGHT, RIGHT)
    margin = loss.log_values(told_alike.discriminate_real(), told_alike.discriminate_fake())[
        "margin"
    ].item()
    assert margin == pytest.approx(2.5 * (REAL - FAKE).abs().mean().item())


@pytest.mark.parametrize("name", ON_LINEAR)
def test_vectors_are_samples_too(name: str) -> None:
    regularizer, value, _ = ON_LINEAR[name]
    penalty = penalize(
        regularizer, LinearCritic(WEIGHT.flatten()), REAL.flatten(1), FAKE.flatten(1)
    )
    assert penalty.item() == pytest.approx(value(WEIGHT.norm().item()))


def test_lecam_by_hand() -> None:
    """Two steps with decay 1/2: averages (1/4 * 1 + 1/2 * 3) / (3/4) of reals and (1/4 * 0 - 1/2) / (3/4) of fakes."""
    lecam = LeCam(weight=0.3, decay=0.5)
    term = AdversarialTerm("adversarial", nn.Identity(), REAL, FAKE)
    real = torch.tensor([-1.0, 1.0], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    assert (
        lecam.penalty(term, critique(real), critique(fake), NOISE).item() == 0.0
    )  # nothing to be tied to yet
    lecam.update(term, critique(torch.tensor([0.0, 2.0])), critique(torch.tensor([-1.0, 1.0])))
    lecam.update(term, critique(torch.tensor([2.0, 4.0])), critique(torch.tensor([-1.0, -1.0])))
    of_real, of_fake = 7 / 3, -2 / 3
    penalty = lecam.penalty(term, critique(real), critique(fake), NOISE)
    assert penalty.item() == pytest.approx(0.3 * ((1 - of_fake) ** 2 / 2 + (of_real - 1) ** 2 / 2))
    by_real, by_fake = gradients(penalty, real, fake)
    np.testing.assert_allclose(by_real.numpy(), [0, 0.3 * (1 - of_fake)], rtol=1e-6)
    np.testing.assert_allclose(by_fake.numpy(), [-0.3 * (of_real - 1), 0], rtol=1e-6)


def orthogonal(discriminator: nn.Module, weight: float = 1.0) -> Tensor:
    term = AdversarialTerm("adversarial", discriminator, REAL, FAKE)
    penalty = Orthogonal(weight).penalty(
        term, critique(torch.zeros(1)), critique(torch.zeros(1)), NOISE
    )
    assert penalty is not None
    return penalty


def test_orthogonal_by_hand() -> None:
    """Rows (1, 2), (3, 4) have the dot product 11; vectors such as biases do not count."""
    discriminator = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Linear(3, 1))
    with torch.no_grad():
        discriminator[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(2, 2, 1, 1))
    penalty = orthogonal(discriminator, 0.1)
    assert penalty.item() == pytest.approx(0.1 * 2 * 121)
    by_weight = gradients(penalty, discriminator[0].weight)[0].view(2, 2)
    torch.testing.assert_close(by_weight, 0.4 * 11 * torch.tensor([[3.0, 4.0], [1.0, 2.0]]))


def with_weight(layer: nn.Module, rows: list[list[float]]) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows).view_as(layer.weight))
    return layer


def test_what_is_no_filter_is_not_made_orthogonal() -> None:
    """Biases of shape [C, 1, 1], scales, embeddings and the filters of different groups."""
    bias = BiasedLeakyReLU(4)
    nn.init.ones_(bias.bias)
    grouped = with_weight(
        nn.Conv2d(4, 4, 1, groups=2), [[1.0, 2.0], [3.0, 4.0], [1.0, 0.0], [0.0, 1.0]]
    )
    discriminator = nn.Sequential(
        bias, nn.GroupNorm(1, 4), nn.Embedding(3, 4), nn.EmbeddingBag(3, 4), grouped
    )
    assert orthogonal(discriminator).item() == pytest.approx(2 * 121)


def test_filters_of_a_transposed_convolution_are_its_outputs() -> None:
    """Its weight is [inputs, outputs]: the columns (1, 3), (2, 4) have the dot product 14."""
    assert (
        orthogonal(with_weight(nn.ConvTranspose2d(2, 2, 1), [[1.0, 2.0], [3.0, 4.0]])).item()
        == 2 * 14**2
    )


def test_the_trained_weight_under_spectral_normalization_counts_and_nothing_is_iterated() -> None:
    layer = spectral_norm(with_weight(nn.Linear(2, 2), [[1.0, 2.0], [3.0, 4.0]]))
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    assert orthogonal(layer).item() == pytest.approx(2 * 121)
    torch.testing.assert_close(dict(layer.state_dict()), before, rtol=0, atol=0)


def test_zero_weights_cost_nothing() -> None:
    """The discriminator with biases of shape [C, 1, 1] and class embeddings, all weights zero, all else as it is."""
    network = partial(R3GANDiscriminator, [1, 8, 8], 16, condition_dim=4, fusion="projection")
    discriminator = ClassCondition(3, 4).wrap(network())
    with torch.no_grad():
        for layer in discriminator.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                layer.weight.zero_()
            elif isinstance(layer, BiasedLeakyReLU):
                layer.bias.fill_(1.0)
    assert orthogonal(discriminator).item() == 0.0


def test_consistency_by_hand() -> None:
    """A discriminator that reads one corner sees another pixel after a shift or a flip, which we look up ourselves."""
    corner = torch.zeros(SHAPE, dtype=torch.float64)
    corner[0, 0, 0] = 1.0
    discriminator, regularizer = LinearCritic(corner), Consistency(2.0, 3.0, shift=2)

    def change(side: str, x: Tensor) -> float:
        rows, columns = random_indices(x, 2, NOISE, f"consistency/adversarial/{side}")
        seen = [x[i, 0, rows[i, 0], columns[i, 0]] for i in range(len(x))]
        return (x[:, 0, 0, 0] - torch.stack(seen)).square().mean().item()

    expected = 2 * change("real", REAL) + 3 * change("fake", FAKE)
    penalty = penalize(regularizer, discriminator)
    assert penalty.item() == pytest.approx(expected)
    assert penalize(Consistency(2.0, 0.0, shift=2), discriminator).item() == pytest.approx(
        2 * change("real", REAL)
    )
    assert gradients(penalty, discriminator.weight)[0].any()


def test_consistency_does_not_see_what_does_not_change() -> None:
    flat = torch.ones(SHAPE, dtype=torch.float64).cumsum(0)
    constant = REAL.mean((2, 3), keepdim=True).expand_as(REAL)
    assert penalize(
        Consistency(shift=3), LinearCritic(flat), constant, constant
    ).item() == pytest.approx(0, abs=1e-20)
    assert (
        penalize(Consistency(shift=0, fake_weight=0), LinearCritic(WEIGHT)).item() > 0
    )  # flips are left


def test_images_move_as_they_should() -> None:
    """Down by one and left by one, mirrored at the borders; then the same, flipped."""
    x = torch.arange(9.0).view(1, 1, 3, 3)
    rows, columns = torch.tensor([[1, 0, 1]]), torch.tensor([[1, 2, 1]])
    assert gather_pixels(x, rows, columns).tolist() == [[[[4, 5, 4], [1, 2, 1], [4, 5, 4]]]]
    places = random_indices(torch.zeros(64, 1, 8, 8), 3, NOISE, "test")
    straight = [c for c in places[1].tolist() if c in [list(range(8))]]
    assert len({tuple(row) for row in places[0].tolist()}) == 7  # every shift from -3 to 3
    assert (
        len({tuple(column) for column in places[1].tolist()}) == 14
    )  # every shift, flipped or not
    assert len(straight) < 32
    assert all(0 <= i < 8 for side in places for row in side.tolist() for i in row)


@pytest.mark.parametrize(
    ("regularizer", "shape", "words"),
    [
        (Consistency(), (2, 7), "images"),
        (Consistency(shift=4), (2, 1, 4, 9), "shift must be smaller"),
    ],
)
def test_consistency_refuses_what_it_cannot_move(
    regularizer: Regularizer, shape: tuple[int, ...], words: str
) -> None:
    x = torch.zeros(shape)
    with pytest.raises(ValueError, match=words):
        penalize(regularizer, LinearCritic(x[0]), x, x)


def test_weights_are_clipped_in_place() -> None:
    discriminator = LinearCritic(torch.tensor([[-1.0, 0.005, 1.0]]))
    WeightClip(0.01).project(discriminator)
    torch.testing.assert_close(discriminator.weight.detach(), torch.tensor([[-0.01, 0.005, 0.01]]))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_a_dead_critic_is_penalized_without_nan(name: str) -> None:
    discriminator: nn.Module = LinearCritic(torch.zeros(1, 8, 8))
    if name in OWN_CRITICS:
        discriminator = OWN_CRITICS[name](64)
        for parameter in discriminator.parameters():
            nn.init.zeros_(parameter)
    term = duel_of(discriminator, torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8))
    penalty = REGULARIZERS[name]().penalty(
        term, term.discriminate_real(), term.discriminate_fake(), NOISE
    )
    if penalty is not None:
        assert math.isfinite(penalty.item())
    if penalty is not None and penalty.requires_grad:
        assert all(g.isfinite().all() for g in gradients(penalty, *discriminator.parameters()))


@pytest.mark.parametrize("name", ["gradient_penalty", "dragan", "r1", "r2"])
def test_batch_statistics_are_refused(name: str) -> None:
    discriminator = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match=r"discriminator\.norm=layer"):
        REGULARIZERS[name]().check(discriminator)
