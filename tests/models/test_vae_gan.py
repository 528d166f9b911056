"""Models whose generator looks at the discriminator's features: VAE-GAN and feature matching."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.classification import GaussianKL
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, DiscriminatorOutput, SampleRequest, TermOutputs, total_loss
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.losses.relativistic import RelativisticPaired
from gan_zoo.models.feature_matching import FeatureMatching
from gan_zoo.models.with_encoder.vae_gan import VAEGAN

from .playing import CRITIC, ENCODER, GENERATOR, SHAPE, batch, gradients, reaches, turns

LOSSES = [LeastSquares, NonSaturating, RelativisticPaired]


class TwoLayers(nn.Module):
    """A discriminator of vectors that shows two layers of features."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        one = self.first(x.flatten(1)).tanh()
        two = self.second(one).tanh()
        return DiscriminatorOutput(two.sum(1), x, features=(one, two))


class Silent(nn.Module):
    """A discriminator that shows no features."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(x.flatten(1)).flatten()


def vae_gan(discriminator=TwoLayers, **options) -> VAEGAN:
    return VAEGAN(GENERATOR, ENCODER, discriminator, GaussianKL(), latent_dim=4, **options)


def matching(discriminator=TwoLayers, **options) -> FeatureMatching:
    return FeatureMatching(GENERATOR, discriminator, latent_dim=4, **options)


# ------------------------------------------------------------------ VAE-GAN


def test_kl_and_features_by_hand() -> None:
    model, data = vae_gan(kl_weight=0.5, feature_weight=3.0), batch()
    encoder, decoder, discriminator = (
        model.generators["encoder"],
        model.generators["main"],
        model.discriminators["main"],
    )
    mu, log_variance = encoder(data.real).chunk(2, 1)
    z = mu + (log_variance / 2).exp() * data.rng.normal("posterior", 6, 4)
    ours, theirs = discriminator(decoder(z)).features, discriminator(data.real).features
    _, terms = turns(model, data, NonSaturating())
    kl = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    torch.testing.assert_close(terms["g/kl"], 0.5 * kl)
    gaps = [(a - b).square().sum() / a.numel() for a, b in zip(ours, theirs, strict=True)]
    torch.testing.assert_close(terms["g/features"], 3 * (gaps[0] + gaps[1]))


@pytest.mark.parametrize("make", LOSSES)
def test_adversarial_terms_do_not_reach_the_encoder(make) -> None:
    model, data = vae_gan(), batch()
    encoder, decoder = model.generators["encoder"], model.generators["main"]
    _, terms = turns(model, data, make())
    assert set(terms) == {"g/realism", "g/rebuilt", "g/kl", "g/features"}
    for name in ("g/realism", "g/rebuilt"):
        assert not any(g.any() for g in gradients(terms[name], encoder).values())
        assert reaches(terms[name], decoder)
    assert reaches(terms["g/kl"], encoder)
    assert not any(g.any() for g in gradients(terms["g/kl"], decoder).values())
    assert reaches(terms["g/features"], encoder)
    assert reaches(terms["g/features"], decoder)


def test_two_duels_on_one_critic_from_the_prior_and_rebuilt() -> None:
    model, data = vae_gan(adversarial_weight=0.25), batch()
    fakes = model.generate(data)
    realism, rebuilt = model.adversarial_terms(data, fakes)
    assert (realism.name, rebuilt.name) == model.term_names
    assert realism.discriminator is rebuilt.discriminator is model.discriminators["main"]
    assert realism.real is rebuilt.real is data.real
    weights = {d.discriminator_weight for d in (realism, rebuilt)} | {
        d.generator_weight for d in (realism, rebuilt)
    }
    assert weights == {0.25}
    torch.testing.assert_close(
        realism.fake, model.generators["main"](data.rng.normal("latents", 6, 4))
    )
    torch.testing.assert_close(rebuilt.fake, fakes["through"])
    torch.testing.assert_close(rebuilt.fake, model.generators["main"](encoded(model, data)))


def encoded(model: VAEGAN, data: Batch) -> Tensor:
    mu, log_variance = model.generators["encoder"](data.real).chunk(2, 1)
    return mu + (log_variance / 2).exp() * data.rng.normal("posterior", data.size, 4)


def test_the_critic_learns_from_its_duels_alone() -> None:
    model, data = vae_gan(), batch()
    discriminator, fakes = model.discriminators["main"], model.generate(data)
    on_critic, _ = turns(model, data, LeastSquares())
    real = (discriminator(data.real).score - 1).square().mean()
    expected = {
        f"d/{name}": 0.5 * 0.5 * (real + discriminator(fakes[key]).score.square().mean())
        for name, key in (("realism", "fake"), ("rebuilt", "rebuilt"))
    }
    torch.testing.assert_close(on_critic, expected)
    assert not any(g.any() for g in gradients(total_loss(on_critic), model.generators).values())


def test_samples_come_from_the_prior_without_the_encoder() -> None:
    model = vae_gan()
    assert model.sample(SampleRequest(3, StepRNG(0, 0)), model.generators).shape == (3, *SHAPE)
    given = torch.randn(2, 4)
    samples = model.sample(SampleRequest(2, StepRNG(0, 0), latents=given), model.generators)
    assert torch.equal(samples, model.generators["main"](given))


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"kl_weight": -1.0}, "-1.0, 1.0 and 0.5"),
        ({"feature_weight": -1.0}, "0.01, -1.0 and 0.5"),
        ({"adversarial_weight": 0.0}, "0.01, 1.0 and 0.0"),
    ],
)
def test_impossible_weights_of_vae_gan(options: dict[str, float], numbers: str) -> None:
    with pytest.raises(ValueError, match=f"must be >= 0 and adversarial_weight > 0, got {numbers}"):
        vae_gan(**options)


# ------------------------------------------------------------------ feature matching


def test_matched_features_by_hand() -> None:
    """The squared distance of the batch means, summed over all activations of all layers."""
    model, data = matching(feature_weight=2.0), batch()
    discriminator, fake = model.discriminators["main"], model.generate(data)["fake"]
    gap = sum(
        (a.mean(0) - b.mean(0)).square().sum()
        for a, b in zip(
            discriminator(fake).features, discriminator(data.real).features, strict=True
        )
    )
    _, terms = turns(model, data, NonSaturating())
    torch.testing.assert_close(terms, {"g/features": 2 * gap})
    assert reaches(terms["g/features"], model.generators)
    by_hand, ours = (
        gradients(2 * gap, model.generators),
        gradients(terms["g/features"], model.generators),
    )
    torch.testing.assert_close(ours, by_hand)


@pytest.mark.parametrize("make", LOSSES)
def test_without_adversarial_weight_the_generator_minimizes_features_alone(make) -> None:
    model, data = matching(), batch()
    on_critic, on_generator = turns(model, data, make())
    assert set(on_critic) == {"d/realism"}
    assert reaches(on_critic["d/realism"], model.discriminators["main"].first)
    assert set(on_generator) == {"g/features"}


def test_with_adversarial_weight_the_generator_also_fools() -> None:
    model, data = matching(adversarial_weight=0.5), batch()
    _, terms = turns(model, data, LeastSquares())
    score = model.discriminators["main"](model.generate(data)["fake"]).score
    assert set(terms) == {"g/realism", "g/features"}
    torch.testing.assert_close(terms["g/realism"], 0.5 * 0.5 * (score - 1).square().mean())


def test_equal_means_cost_nothing_however_samples_are_paired() -> None:
    model, data = matching(), batch()
    (term,) = model.adversarial_terms(data, {"fake": data.real.flip(0)})
    output = TermOutputs(term, term.discriminate_real(), term.discriminate_fake())
    assert model.generator_terms(data, {}, [output])["features"].item() == pytest.approx(
        0, abs=1e-12
    )


@pytest.mark.parametrize(
    "model", [vae_gan(Silent), matching(Silent)], ids=["vae_gan", "feature_matching"]
)
def test_critics_without_features_are_named(model) -> None:
    with pytest.raises(
        ValueError, match="needs a discriminator that shows its features, such as dcgan"
    ):
        turns(model, batch(), NonSaturating())


@pytest.mark.parametrize(
    ("options", "numbers"),
    [({"feature_weight": 0.0}, "0.0 and 0.0"), ({"adversarial_weight": -1.0}, "1.0 and -1.0")],
)
def test_impossible_weights_of_feature_matching(options: dict[str, float], numbers: str) -> None:
    with pytest.raises(
        ValueError, match=f"feature_weight must be > 0 and adversarial_weight >= 0, got {numbers}"
    ):
        matching(**options)


def test_the_zoos_critics_show_features() -> None:
    for make in (vae_gan, matching):
        _, terms = turns(make(CRITIC), batch(), NonSaturating())
        assert terms["g/features"] > 0
