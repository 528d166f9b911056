"""What models make of a batch."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from gan_zoo.auxiliary_losses.classification import CrossEntropy, GaussianKL
from gan_zoo.auxiliary_losses.reconstruction import L2
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, DiscriminatorOutput, SampleRequest, TermOutputs
from gan_zoo.models.class_heads.acgan import ACGAN
from gan_zoo.models.gan import GAN
from gan_zoo.models.with_encoder.vae import VAE
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.networks.image_encoders import DCGANEncoder, MLPEncoder
from gan_zoo.networks.mlp import MLPDiscriminator, MLPGenerator

SHAPE = [1, 8, 8]
GENERATOR = partial(MLPGenerator, sample_shape=SHAPE, width=16)
CRITIC = partial(MLPDiscriminator, sample_shape=SHAPE, width=16)


def batch(size: int = 6, step: int = 0) -> Batch:
    real = torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(step)).tanh()
    return Batch(size, StepRNG(0, step), real=real, label=torch.arange(size) % 3)


def acgan(**options) -> ACGAN:
    return ACGAN(GENERATOR, CRITIC, CrossEntropy(), num_classes=3, latent_dim=4, **options)


def test_fakes_and_samples_come_from_the_batchs_noise() -> None:
    model = GAN(GENERATOR, CRITIC, latent_dim=4)
    assert torch.equal(
        model.generate(batch())["fake"], model.sample(model.request_for(batch()), model.generators)
    )
    assert not torch.equal(model.generate(batch(step=1))["fake"], model.generate(batch())["fake"])
    given = SampleRequest(2, StepRNG(0, 0), latents=torch.zeros(2, 4))
    assert torch.equal(*model.sample(given, model.generators))


@pytest.mark.parametrize(("prior", "low", "high"), [("normal", -9, 9), ("uniform", -1, 1)])
def test_priors(prior: str, low: float, high: float) -> None:
    latents = GAN(GENERATOR, CRITIC, latent_dim=50, prior=prior).latents(
        SampleRequest(2000, StepRNG(0, 0))
    )
    assert low <= latents.min() < latents.max() <= high
    assert latents.mean().abs() < 0.02
    assert latents.var().item() == pytest.approx(1 if prior == "normal" else 1 / 3, rel=0.02)


def test_the_same_classes_are_asked_for_in_both_turns() -> None:
    model = acgan()
    assert torch.equal(
        model.requested_label(model.request_for(batch())),
        model.requested_label(model.request_for(batch())),
    )
    counts = model.requested_label(SampleRequest(9000, StepRNG(0, 0))).bincount()
    assert counts.tolist() == pytest.approx([3000] * 3, rel=0.05)


def test_acgans_class_terms_by_hand() -> None:
    model, data = acgan(class_weight=2.0), batch()
    real = DiscriminatorOutput(torch.zeros(6), data.real, aux=torch.randn(6, 3))
    fake = DiscriminatorOutput(torch.zeros(6), data.real, aux=torch.randn(6, 3))
    (term,) = model.adversarial_terms(data, model.generate(data))
    outputs = [TermOutputs(term, real, fake)]

    def cross_entropy(critique: DiscriminatorOutput, labels: torch.Tensor) -> float:
        return -float(critique.aux.log_softmax(1)[range(6), labels].mean())

    on_real, on_fake = (
        cross_entropy(real, data.label),
        cross_entropy(fake, model.requested_label(model.request_for(data))),
    )
    assert model.discriminator_terms(data, {}, outputs)["class"].item() == pytest.approx(
        2 * (on_real + on_fake)
    )
    assert model.generator_terms(data, {}, outputs)["class"].item() == pytest.approx(2 * on_fake)
    model.aux_on_fake = False
    assert model.discriminator_terms(data, {}, outputs)["class"].item() == pytest.approx(
        2 * on_real
    )


def test_the_class_reaches_the_generator_and_comes_back_as_gradient() -> None:
    model, data = acgan(), batch()
    latents = torch.zeros(6, 4)
    samples = model.sample(SampleRequest(6, data.rng, latents=latents), model.generators)
    classes = model.requested_label(model.request_for(data))
    assert len(set(classes.tolist())) > 1
    for i in range(6):
        for j in range(6):
            assert torch.allclose(samples[i], samples[j], atol=1e-6) == (classes[i] == classes[j])
    (term,) = model.adversarial_terms(data, model.generate(data))
    model.generator_terms(data, {}, [TermOutputs(term, None, term.discriminate_fake())])[
        "class"
    ].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.generators.parameters())


@pytest.mark.parametrize("num_classes", [None, 1])
def test_acgan_needs_labels(num_classes: int | None) -> None:
    with pytest.raises(ValueError, match=r"needs data with labels: data.num_classes must be >= 2"):
        ACGAN(GENERATOR, CRITIC, CrossEntropy(), num_classes=num_classes)


def test_a_class_head_sits_beside_the_score() -> None:
    for discriminator in (CRITIC(aux_outputs=3), DCGANDiscriminator(SHAPE, 4, aux_outputs=3)):
        output = discriminator(torch.randn(2, *SHAPE))
        assert output.score.shape == (2,)
        assert output.aux.shape == (2, 3)


def vae(kl_weight: float = 0.5) -> VAE:
    return VAE(
        GENERATOR,
        partial(MLPEncoder, sample_shape=SHAPE, width=16),
        L2(),
        GaussianKL(),
        4,
        kl_weight,
    )


def test_vaes_terms_by_hand() -> None:
    model, data = vae(), batch()
    fakes = model.generate(data)
    mu, log_variance = fakes["mu"], fakes["log_variance"]
    terms = model.generator_terms(data, fakes, [])
    kl = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    assert terms["kl"].item() == pytest.approx(0.5 * kl.item(), rel=1e-5)
    error = (fakes["rebuilt"] - data.real).square().mean()
    assert terms["reconstruction"].item() == pytest.approx(error.item(), rel=1e-5)


def test_vaes_latents_are_reparametrised() -> None:
    model, data = vae(), batch()
    seen = []
    model.generators["main"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    fakes = model.generate(data)
    rng = data.rng.normal("posterior", 6, 4)
    torch.testing.assert_close(seen[0], fakes["mu"] + (0.5 * fakes["log_variance"]).exp() * rng)
    model.generator_terms(data, fakes, [])["reconstruction"].backward()
    assert all(p.grad is not None for p in model.generators.parameters())


def test_vae_has_no_critic_and_samples_from_the_prior() -> None:
    model = vae()
    assert not len(model.discriminators)
    assert model.adversarial_terms(batch(), {}) == []
    assert model.sample(SampleRequest(3, StepRNG(0, 0)), model.generators).shape == (3, *SHAPE)
    with pytest.raises(ValueError, match="kl_weight must be >= 0, got -1"):
        vae(-1)


@pytest.mark.parametrize(
    "encoder", [MLPEncoder(5, SHAPE, width=8), DCGANEncoder(5, SHAPE, width=4)]
)
def test_encoders(encoder: nn.Module) -> None:
    assert encoder(torch.randn(2, *SHAPE)).shape == (2, 5)
