"""BiGAN: a discriminator of pairs, both sides of which carry gradients to generator and encoder."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn.functional import softplus

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest, total_loss
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.losses.relativistic import RelativisticPaired
from gan_zoo.models.with_encoder.bigan import BiGAN

from .playing import CRITIC, ENCODER, GENERATOR, SHAPE, batch, gradients, reaches, turns


def bigan(**options) -> BiGAN:
    return BiGAN(GENERATOR, ENCODER, partial(CRITIC, width=16), latent_dim=4, **options)


def test_terms_by_hand() -> None:
    """L_D = sp(-D(x, E(x))) + sp(D(G(z), z)); generator and encoder minimize it with the sides swapped."""
    model, data = bigan(), batch()
    of_discriminator, of_generators = turns(model, data, NonSaturating())
    z = data.rng.normal("latents", 6, 4)
    codes, fake = model.generators["encoder"](data.real), model.generators["main"](z)
    discriminator = model.discriminators["main"]
    joint_real = discriminator(data.real, codes).score
    joint_fake = discriminator(fake, z).score
    by_hand = softplus(-joint_real).mean() + softplus(joint_fake).mean()
    torch.testing.assert_close(of_discriminator["d/joint"], by_hand)
    swapped = softplus(-joint_fake).mean() + softplus(joint_real).mean()
    torch.testing.assert_close(of_generators["g/joint"], swapped)
    for network in ("main", "encoder"):
        expected = gradients(swapped, model.generators[network])
        torch.testing.assert_close(
            gradients(of_generators["g/joint"], model.generators[network]), expected
        )
        assert reaches(of_generators["g/joint"], model.generators[network])


def test_neither_network_learns_in_the_discriminator_step() -> None:
    model, data = bigan(), batch()
    of_discriminator, of_generators = turns(model, data, NonSaturating())
    assert not any(
        g.any() for g in gradients(total_loss(of_discriminator), model.generators).values()
    )
    assert reaches(total_loss(of_discriminator), model.discriminators)
    assert not any(
        g.any() for g in gradients(total_loss(of_generators), model.discriminators).values()
    )


def test_losses_that_compare_both_sides_reach_both_networks() -> None:
    _, of_generators = turns(model := bigan(), batch(), RelativisticPaired())
    assert reaches(of_generators["g/joint"], model.generators["main"])
    assert reaches(of_generators["g/joint"], model.generators["encoder"])


def test_a_stochastic_encoder_draws_in_training_and_is_its_mean_after() -> None:
    model, data = bigan(stochastic=True), batch()
    mean, log_variance = model.generators["encoder"](data.real).chunk(2, 1)
    noise = data.rng.normal("encoder", 6, 4)
    codes = model.generate(data)["codes"]
    torch.testing.assert_close(codes, mean + (0.5 * log_variance).exp() * noise)
    torch.testing.assert_close(model.encode(data.real, model.generators), mean)


def test_reconstructions_are_displayed_where_reals_are_known() -> None:
    model, data = bigan(), batch()
    request = SampleRequest(6, StepRNG(0, 0), target=data.real)
    visuals = model.visuals(request, model.generators)
    assert list(visuals) == ["sample", "input", "reconstructed"]
    rebuilt = model.generators["main"](model.generators["encoder"](data.real))
    torch.testing.assert_close(visuals["reconstructed"], rebuilt)
    assert visuals["sample"].shape == (6, *SHAPE)
