"""In mixed precision networks may be rounded to bfloat16; losses, penalties and terms are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.classification import (
    Contrastive,
    CrossEntropy,
    GaussianKL,
    GaussianLikelihood,
)
from gan_zoo.auxiliary_losses.reconstruction import L2
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput
from gan_zoo.losses.base import Loss
from gan_zoo.losses.ebgan import pulling_away
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.base import Model
from gan_zoo.models.class_heads.acgan import ACGAN
from gan_zoo.models.feature_matching import FeatureMatching
from gan_zoo.models.gan import GAN
from gan_zoo.models.infogan import InfoGAN
from gan_zoo.models.with_encoder.vae import VAE
from gan_zoo.models.with_encoder.vae_gan import VAEGAN
from tests.models.playing import CRITIC, ENCODER, GENERATOR, batch, turns

from .zoo import LOSSES, OWN_CRITICS, REGULARIZERS, CodedCritic


def bfloat16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


class Recording(Loss):
    """A loss that remembers in which precision it was called, and what it was given."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss
        self.generator_sees_real = loss.generator_sees_real

    def update(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> None:
        self.loss.update(real, fake)

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return self.noted(self.loss.discriminator, real, fake)

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return self.noted(self.loss.generator, fake, real)

    def noted(self, call: Callable[..., Tensor], *critiques: DiscriminatorOutput | None) -> Tensor:
        SEEN.extend(c.score for c in critiques if c is not None)
        ROUNDS.append(torch.is_autocast_enabled("cpu"))
        return call(*critiques)


SEEN: list[Tensor] = []
ROUNDS: list[bool] = []


@pytest.mark.parametrize("name", [name for name in LOSSES if not name.startswith("fgan-")])
def test_losses_are_float32(name: str) -> None:
    """Scores that reach a loss are float32, autocast is off in it, and so its value is that of float64."""
    SEEN.clear()
    ROUNDS.clear()
    discriminator = partial(CodedCritic, 16) if name.startswith(("ebgan", "began")) else CRITIC
    with bfloat16():
        terms = turns(
            GAN(GENERATOR, discriminator, latent_dim=4), batch(), Recording(LOSSES[name]())
        )
    assert all(term.dtype == torch.float32 for of_player in terms for term in of_player.values())
    assert all(score.dtype == torch.float32 for score in SEEN)
    assert ROUNDS == [False, False]


def test_the_pulling_away_term_is_float32() -> None:
    codes = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    found = pulling_away(codes.bfloat16())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(pulling_away(codes.bfloat16().double()).item(), rel=1e-5)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_penalties_are_float32(name: str) -> None:
    torch.manual_seed(0)
    discriminator = OWN_CRITICS.get(name, CodedCritic)(36)
    x, y = (
        torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    term = AdversarialTerm("adversarial", discriminator, x, y).with_input_gradients(
        real=True, fake=True
    )
    with bfloat16():
        penalty = REGULARIZERS[name]().penalty(
            term, term.discriminate_real(), term.discriminate_fake(), StepRNG(0, 0)
        )
    assert penalty is None or penalty.dtype == torch.float32


def test_orthogonality_is_not_rounded() -> None:
    """Rows of length 1 that are nearly orthogonal: in bfloat16 their dot product is another one."""
    discriminator = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        discriminator.weight.copy_(torch.tensor([[1.0, 0.001], [0.0, 1.0]]))
    term = AdversarialTerm("adversarial", discriminator, torch.zeros(1, 2), torch.zeros(1, 2))
    with bfloat16():
        penalty = REGULARIZERS["orthogonal"]().penalty(
            term, term.discriminate_real(), term.discriminate_fake(), StepRNG(0, 0)
        )
    assert penalty.item() == pytest.approx(1e-4 * 2 * 1e-6, rel=1e-5)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
GAMES: dict[str, Callable[[], Model]] = {
    "acgan": lambda: ACGAN(GENERATOR, CRITIC, CrossEntropy(), num_classes=3, latent_dim=4),
    "infogan": lambda: InfoGAN(
        GENERATOR, CRITIC, CrossEntropy(), GaussianLikelihood(), 3, 2, latent_dim=4
    ),
    "feature_matching": lambda: FeatureMatching(GENERATOR, CRITIC, latent_dim=4),
    "vae_gan": lambda: VAEGAN(GENERATOR, ENCODER, CRITIC, GaussianKL(), latent_dim=4),
}


@pytest.mark.parametrize("name", GAMES)
def test_terms_of_games_are_float32(name: str) -> None:
    with bfloat16():
        terms = turns(GAMES[name](), batch(label=LABELS), NonSaturating())
    for of_player in terms:
        assert {key: term.dtype for key, term in of_player.items()} == dict.fromkeys(
            of_player, torch.float32
        )


def test_the_terms_of_a_vae_are_float32() -> None:
    model = VAE(GENERATOR, ENCODER, L2(), GaussianKL(), latent_dim=4)
    with bfloat16():
        fakes = model.generate(batch())
        terms: dict[str, Any] = model.generator_terms(batch(), fakes, [])
    assert all(term.dtype == torch.float32 for term in terms.values())


def test_the_contrastive_term_is_not_rounded() -> None:
    first, second = (
        torch.randn(6, 32, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    with bfloat16():
        found = Contrastive()(first, second)
    assert found.item() == pytest.approx(
        Contrastive()(first.double(), second.double()).item(), rel=1e-6
    )
