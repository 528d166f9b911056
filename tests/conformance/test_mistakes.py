"""Mistakes of widely copied code: a check that ours passes and the mistaken formula, written out here, fails.

Those about models and metrics (InfoGAN's term rebuilt from numbers, wrong pairs that are right, FID of the wrong
images) are in test_mistakes_of_games.py.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, normalize, softplus

import gan_zoo
from gan_zoo.core.rng import StepRNG
from gan_zoo.losses.ebgan import EBGAN, pulling_away
from gan_zoo.losses.f_gan import FGAN
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.regularizers.gradient_penalty import GradientPenalty
from gan_zoo.regularizers.zero_centered import R1

from .zoo import LinearCritic, critique, duel_of, gradients

SHAPE = (3, 4, 5)


def random_images(seed: int) -> Tensor:
    return torch.randn(
        6, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def close(ours: Tensor | float, expected: Tensor | float) -> None:
    torch.testing.assert_close(torch.as_tensor(ours), torch.as_tensor(expected), check_dtype=False)


def input_gradients(discriminator: nn.Module, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    (found,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return found


# ------------------------------------------------------------------ 1. gradient penalties

Penalty = Callable[[nn.Module, Tensor, Tensor], Tensor]


def our_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    term = duel_of(discriminator, real, fake)
    return GradientPenalty(10.0).penalty(
        term, term.discriminate_real(), term.discriminate_fake(), StepRNG(0, 0)
    )


def penalty_with(weights: tuple[int, ...], length: Callable[[Tensor], Tensor]) -> Penalty:
    """WGAN-GP's penalty with interpolation weights of this shape and this definition of a gradient's length."""

    def penalty(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        weight = torch.rand(weights, generator=torch.Generator().manual_seed(0), dtype=real.dtype)
        lengths = length(input_gradients(discriminator, weight * real + (1 - weight) * fake))
        return 10 * (lengths - 1).square().mean()

    return penalty


def per_sample(gradient: Tensor) -> Tensor:
    return gradient.flatten(1).norm(dim=1)


class Recorder(LinearCritic):
    """Keeps the last samples that it scored."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        self.seen = x.detach()
        return super().forward(x)


def check_penalty(penalty: Penalty) -> None:
    """Exact on D(x) = w . x; where it looks lies between each real and its fake, at a place of the pair's own."""
    real, fake, discriminator = random_images(0), random_images(1), Recorder(random_images(2)[0])
    close(penalty(discriminator, real, fake), 10 * (discriminator.weight.norm() - 1) ** 2)
    weights = ((discriminator.seen - fake) / (real - fake)).flatten(1)
    close(weights, weights[:, :1].expand_as(weights))
    assert (weights >= 0).all()
    assert (weights <= 1).all()
    assert len(weights[:, 0].unique()) == 6


MISTAKEN_PENALTIES = {
    "norm over the batch": penalty_with((6, 1, 1, 1), lambda g: g.norm()),
    "norm over channels": penalty_with((6, 1, 1, 1), lambda g: g.norm(dim=1)),
    "a weight for each pixel": penalty_with((6, *SHAPE), per_sample),
    "one weight for all": penalty_with((1, 1, 1, 1), per_sample),
}


def test_gradient_penalty() -> None:
    check_penalty(our_penalty)
    check_penalty(penalty_with((6, 1, 1, 1), per_sample))


@pytest.mark.parametrize("name", MISTAKEN_PENALTIES)
def test_mistaken_gradient_penalty(name: str) -> None:
    with pytest.raises(AssertionError):
        check_penalty(MISTAKEN_PENALTIES[name])


def check_r1(penalty: Penalty) -> None:
    discriminator = LinearCritic(random_images(2)[0])
    close(
        penalty(discriminator, random_images(0), random_images(1)),
        0.5 * 10 * discriminator.weight.square().sum(),
    )


def our_r1(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    term = duel_of(discriminator, real, fake)
    return R1(10.0).penalty(term, term.discriminate_real(), term.discriminate_fake(), StepRNG(0, 0))


MISTAKEN_R1: dict[str, Penalty] = {
    "mean over dimensions": lambda discriminator, real, fake: (
        5 * input_gradients(discriminator, real).square().mean()
    ),
    "sum over the batch": lambda discriminator, real, fake: (
        5 * input_gradients(discriminator, real).square().sum()
    ),
    "not squared": lambda discriminator, real, fake: (
        5 * per_sample(input_gradients(discriminator, real)).mean()
    ),
    "gamma for gamma/2": lambda discriminator, real, fake: (
        10 * per_sample(input_gradients(discriminator, real)).square().mean()
    ),
}


def test_r1() -> None:
    check_r1(our_r1)


@pytest.mark.parametrize("name", MISTAKEN_R1)
def test_mistaken_r1(name: str) -> None:
    with pytest.raises(AssertionError):
        check_r1(MISTAKEN_R1[name])


# ------------------------------------------------------------------ 2. pulling-away term


def check_pulling_away(term: Callable[[Tensor], Tensor]) -> None:
    """Orthogonal codes of any length cost nothing, parallel and opposite ones everything."""
    close(term(torch.diag(torch.tensor([1.0, 2.0, 3.0]))), 0.0)
    close(term(torch.tensor([[1.0, 2.0], [-2.0, -4.0], [0.5, 1.0]])), 1.0)
    close(term(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])), 1 / 3)


def mean_off_diagonal(cosines: Tensor) -> Tensor:
    n = len(cosines)
    return (cosines.sum() - cosines.trace()) / (n * (n - 1))


def along_the_batch(codes: Tensor) -> Tensor:
    unit = normalize(codes, dim=0)
    return mean_off_diagonal((unit @ unit.T).square())


def without_the_square(codes: Tensor) -> Tensor:
    unit = normalize(codes, dim=1)
    return mean_off_diagonal(unit @ unit.T)


def with_the_diagonal(codes: Tensor) -> Tensor:
    unit = normalize(codes, dim=1)
    return (unit @ unit.T).square().sum() / (len(codes) * (len(codes) - 1))


def test_pulling_away() -> None:
    check_pulling_away(pulling_away)


@pytest.mark.parametrize("mistaken", [along_the_batch, without_the_square, with_the_diagonal])
def test_mistaken_pulling_away(mistaken: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(AssertionError):
        check_pulling_away(mistaken)


# ------------------------------------------------------------------ 4. EBGAN's hinge

OnScores = Callable[[Tensor, Tensor], Tensor]


def ours(loss: Any) -> OnScores:
    return lambda real, fake: loss.discriminator(critique(real), critique(fake))


def check_ebgan(loss: OnScores) -> None:
    """One fake beyond the margin 1, one short of it by 0.8: their mean would be beyond, but one is still pushed."""
    real, fake = torch.tensor([0.0, 0.0]), torch.tensor([5.0, 0.2], requires_grad=True)
    value = loss(real, fake)
    close(value, 0.4)
    close(gradients(value, fake)[0], torch.tensor([0.0, -0.5]))


def test_ebgan() -> None:
    check_ebgan(ours(EBGAN(margin=1.0)))


def test_mistaken_ebgan() -> None:
    with pytest.raises(AssertionError):
        check_ebgan(lambda real, fake: real.mean() + torch.relu(1.0 - fake.mean()))


# ------------------------------------------------------------------ 5. BatchNorm2d(n, 0.8)


def second_arguments(source: str) -> list[str]:
    """Calls of batch norms whose second argument has no name: it is eps, not the momentum it was meant to be."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        ast.unparse(c)
        for c in calls
        if re.search(r"\bBatchNorm\w*$", ast.unparse(c.func)) and len(c.args) > 1
    ]


def test_no_batch_norm_has_a_nameless_second_argument() -> None:
    package = Path(gan_zoo.__file__).parent
    found = {str(path): second_arguments(path.read_text()) for path in package.rglob("*.py")}
    assert len(found) > 10
    assert not {path: calls for path, calls in found.items() if calls}


@pytest.mark.parametrize(
    "source", ["nn.BatchNorm2d(64, 0.8)", "f(torch.nn.BatchNorm1d(n, 0.8))", "BatchNorm2d(n, 1)"]
)
def test_mistaken_batch_norm_is_found(source: str) -> None:
    assert second_arguments(source)
    assert not second_arguments(re.sub(r", [\d.]+", ", eps=1e-5, momentum=0.8", source))


# ------------------------------------------------------------------ 6. f-GAN


def check_jensen_shannon(bound: OnScores) -> None:
    """P is 0.9, 0.1 and Q is 0.1, 0.9 on two points. Raw scores log(p/q) give 2 JS, and nothing known gives 0."""
    ratio = math.log(9)
    real = torch.tensor([ratio] * 9 + [-ratio], dtype=torch.float64)
    twice_js = 2 * (math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    close(bound(real, -real), twice_js)
    close(bound(0 * real, 0 * real), 0.0)


def with_a_sigmoid(real: Tensor, fake: Tensor) -> Tensor:
    return -ours(FGAN("jensen_shannon"))(real.sigmoid(), fake.sigmoid())


def without_logarithms(real: Tensor, fake: Tensor) -> Tensor:
    return real.sigmoid().mean() - fake.sigmoid().mean()


def without_the_constants(real: Tensor, fake: Tensor) -> Tensor:
    return -softplus(-real).mean() - softplus(fake).mean()


def test_jensen_shannon() -> None:
    check_jensen_shannon(lambda real, fake: -ours(FGAN("jensen_shannon"))(real, fake))


@pytest.mark.parametrize("mistaken", [with_a_sigmoid, without_logarithms, without_the_constants])
def test_mistaken_jensen_shannon(mistaken: OnScores) -> None:
    with pytest.raises(AssertionError):
        check_jensen_shannon(mistaken)


# ------------------------------------------------------------------ 7. sigmoid and BCE


def check_logits(loss: OnScores) -> None:
    """A real scored -200 costs 200 and pushes with full force, in float32 too."""
    real, fake = (
        torch.tensor([-200.0], requires_grad=True),
        torch.tensor([-200.0], requires_grad=True),
    )
    value = loss(real, fake)
    close(value, 200.0)
    close(gradients(value, real, fake)[0], torch.tensor([-1.0]))


def with_probabilities(real: Tensor, fake: Tensor) -> Tensor:
    on_real = binary_cross_entropy(real.sigmoid(), torch.ones_like(real))
    return on_real + binary_cross_entropy(fake.sigmoid(), torch.zeros_like(fake))


def with_a_small_number(real: Tensor, fake: Tensor) -> Tensor:
    return -(real.sigmoid() + 1e-8).log().mean() - (1 - fake.sigmoid() + 1e-8).log().mean()


def test_logits() -> None:
    check_logits(ours(NonSaturating()))


@pytest.mark.parametrize("mistaken", [with_probabilities, with_a_small_number])
def test_mistaken_logits(mistaken: OnScores) -> None:
    with pytest.raises(AssertionError):
        check_logits(mistaken)


# ------------------------------------------------------------------ 10. noise on ranks

Draw = Callable[[int, int], Tensor]
"""Four of eight latents, as a function of the rank and the number of ranks."""


def our_noise(rank: int, ranks: int) -> Tensor:
    return StepRNG(seed=1, step=2, rank=rank, world_size=ranks).normal("latents", 8 // ranks, 3)


def equal_everywhere(rank: int, ranks: int) -> Tensor:
    return torch.randn(8 // ranks, 3, generator=torch.Generator().manual_seed(1))


def seeded_by_rank(rank: int, ranks: int) -> Tensor:
    return torch.randn(8 // ranks, 3, generator=torch.Generator().manual_seed(1 + rank))


def check_noise(draw: Draw) -> None:
    """Ranks differ, and together they have what a single process would have drawn."""
    first, second = draw(0, 2), draw(1, 2)
    assert not torch.equal(first, second)
    close(torch.cat([first, second]), draw(0, 1))


def test_noise() -> None:
    check_noise(our_noise)


@pytest.mark.parametrize("mistaken", [equal_everywhere, seeded_by_rank])
def test_mistaken_noise(mistaken: Draw) -> None:
    with pytest.raises(AssertionError):
        check_noise(mistaken)


def test_every_kind_of_noise_is_shared_out() -> None:
    for kind, arguments in (("normal", (3,)), ("uniform", (3,)), ("randint", (0, 1000))):
        complete = getattr(StepRNG(1, 2), kind)("purpose", 8, *arguments)
        parts = [
            getattr(StepRNG(1, 2, rank, 4), kind)("purpose", 2, *arguments) for rank in range(4)
        ]
        close(torch.cat(parts), complete)
        assert not torch.equal(
            complete, getattr(StepRNG(1, 2), kind)("other purpose", 8, *arguments)
        )
        assert not torch.equal(complete, getattr(StepRNG(1, 3), kind)("purpose", 8, *arguments))
