"""The adversarial autoencoder: which side is real, who is trained by what, and what stays outside."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gan_zoo.augmentation.base import augmentations
from gan_zoo.auxiliary_losses.reconstruction import L2
from gan_zoo.config.build import build, build_module
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.losses.relativistic import RelativisticPaired
from gan_zoo.losses.wasserstein import Wasserstein
from gan_zoo.models.with_encoder.aae import AAE
from gan_zoo.networks.mlp import MLPDiscriminator

from .playing import ENCODER, GENERATOR, batch, gradients, reaches, turns

OF_LATENTS = partial(MLPDiscriminator, width=8)


def aae(**options) -> AAE:
    torch.manual_seed(0)
    return AAE(GENERATOR, ENCODER, OF_LATENTS, L2(), latent_dim=4, **options)


def test_the_prior_is_the_real_side() -> None:
    model, data = aae(), batch()
    (term,) = model.adversarial_terms(data, model.generate(data))
    assert torch.equal(term.real, data.rng.normal("latents", 6, 4))
    assert torch.equal(term.fake, model.generators["encoder"](data.real))
    of_discriminator, of_generators = turns(aae(adversarial_weight=0.5), data, Wasserstein())
    real, fake = (model.discriminators["main"](z).score.mean() for z in (term.real, term.fake))
    torch.testing.assert_close(of_discriminator["d/prior"], fake - real)
    torch.testing.assert_close(of_generators["g/prior"], -0.5 * fake)


def test_reconstruction_by_hand_trains_both_and_the_prior_the_encoder_alone() -> None:
    model, data = aae(reconstruction_weight=3.0), batch()
    _, terms = turns(model, data, RelativisticPaired())
    rebuilt = model.generators["main"](model.generators["encoder"](data.real))
    torch.testing.assert_close(terms["g/reconstruction"], 3 * (rebuilt - data.real).square().mean())
    for name in ("main", "encoder"):
        assert reaches(terms["g/reconstruction"], model.generators[name])
    assert reaches(terms["g/prior"], model.generators["encoder"])
    of_decoder = gradients(terms["g/prior"], model.generators["main"])
    assert not any(g.any() for g in of_decoder.values())


def test_the_discriminator_step_reaches_neither_network() -> None:
    model = aae()
    of_discriminator, _ = turns(model, batch(), LeastSquares())
    assert reaches(of_discriminator["d/prior"], model.discriminators["main"])
    for name in ("main", "encoder"):
        found = gradients(of_discriminator["d/prior"], model.generators[name])
        assert not any(g.any() for g in found.values())


def test_samples_are_decoded_latents_of_the_prior() -> None:
    model = aae(prior="uniform")
    request = SampleRequest(5, StepRNG(0, 0))
    latents = model.latents(request)
    assert latents.abs().max() <= 1
    assert torch.equal(model.sample(request, model.generators), model.generators["main"](latents))
    x = batch().real
    codes = model.encode(x, model.generators)
    assert codes.shape == (6, 4)
    assert torch.equal(model.reconstruct(x, model.generators), model.generators["main"](codes))


def test_augmentations_of_images_stay_outside(composed) -> None:
    small = ["data=digits", "generator.width=4", "augment=ada"]
    module = build_module(composed("model=aae", *small))
    assert not list(augmentations(module.model.discriminators))
    assert isinstance(module.model.discriminators["main"], MLPDiscriminator)


def test_what_cannot_work_is_refused(tiny) -> None:
    with pytest.raises(ValueError, match=r"must be >= 0, got 1\.0 and -1"):
        aae(adversarial_weight=-1.0)
    with pytest.raises(ValueError, match="prior must be one of normal, uniform, got 'square'"):
        aae(prior="square")
    with pytest.raises(ValueError, match="model=aae has a discriminator of latents alone"):
        build(tiny("model=aae", "discriminator=dcgan"))
