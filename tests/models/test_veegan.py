"""VEEGAN: its terms by hand, and what the encoder does not see."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn.functional import softplus

from gan_zoo.losses.logistic_variants import ReverseKL
from gan_zoo.losses.relativistic import RelativisticPaired
from gan_zoo.models.with_encoder.veegan import VEEGAN

from .playing import CRITIC, ENCODER, GENERATOR, batch, gradients, reaches, turns


def veegan(**options) -> VEEGAN:
    torch.manual_seed(0)
    return VEEGAN(GENERATOR, ENCODER, partial(CRITIC, width=16), latent_dim=4, **options)


def test_terms_by_hand() -> None:
    """L_D = sp(-D(x, F(x))) + sp(D(G(z), z)); L_G = -E D(G(z), z) + w E |z - F(G(z))|^2."""
    model, data = veegan(latent_weight=0.5), batch()
    of_discriminator, of_generators = turns(model, data, ReverseKL())
    z = data.rng.normal("latents", 6, 4)
    fake, codes = model.generators["main"](z), model.generators["encoder"](data.real)
    discriminator = model.discriminators["main"]
    real_score, fake_score = discriminator(data.real, codes).score, discriminator(fake, z).score
    by_hand = softplus(-real_score).mean() + softplus(fake_score).mean()
    torch.testing.assert_close(of_discriminator["d/joint"], by_hand)
    torch.testing.assert_close(of_generators["g/joint"], -fake_score.mean())
    distance = ((z - model.generators["encoder"](fake)) ** 2).sum() / 6
    torch.testing.assert_close(of_generators["g/latents"], 0.5 * distance)


def test_the_encoder_learns_from_latents_alone() -> None:
    """In BiGAN, a mistaken twin, the adversarial term reaches the encoder."""
    model = veegan()
    of_discriminator, of_generators = turns(model, batch(), ReverseKL())
    encoder = model.generators["encoder"]
    assert not any(g.any() for g in gradients(of_generators["g/joint"], encoder).values())
    assert not any(
        g.any() for g in gradients(of_discriminator["d/joint"], model.generators).values()
    )
    assert reaches(of_generators["g/latents"], encoder)
    assert reaches(of_generators["g/latents"], model.generators["main"])
    assert reaches(of_discriminator["d/joint"], model.discriminators)


def test_losses_that_compare_both_sides_do_not_reach_the_encoder() -> None:
    """The generator's loss sees D(x, F(x)) here, a constant."""
    _, of_generators = turns(model := veegan(), batch(), RelativisticPaired())
    encoder = model.generators["encoder"]
    assert not any(g.any() for g in gradients(of_generators["g/joint"], encoder).values())
    assert reaches(of_generators["g/joint"], model.generators["main"])
