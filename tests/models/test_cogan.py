"""CoGAN: what is shared, what is not, and both domains' terms by hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.cogan import CoGAN
from gan_zoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_zoo.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_zoo.training.ema import EMA

from .playing import CRITIC, GENERATOR, SHAPE, batch, random_images, reaches, turns


def cogan(**options) -> CoGAN:
    torch.manual_seed(0)
    options = {"shared_generator_layers": 1, "shared_discriminator_layers": 1} | options
    return CoGAN(GENERATOR, CRITIC, SHAPE, SHAPE, latent_dim=4, **options)


def test_terms_by_hand() -> None:
    model, data = cogan(), batch(condition=random_images(6, 1))
    of_discriminators, of_generators = turns(model, data, NonSaturating())
    z = data.rng.normal("latents", 6, 4)
    for domain, real, generator in (("b", data.real, "main"), ("a", data.condition, "a")):
        scores = [
            model.discriminators[domain](x).score for x in (real, model.generators[generator](z))
        ]
        loss = torch.nn.functional.softplus(torch.stack([-scores[0], scores[1]])).mean(1).sum()
        torch.testing.assert_close(of_discriminators[f"d/{domain}"], loss)
        expected = torch.nn.functional.softplus(-scores[1]).mean()
        torch.testing.assert_close(of_generators[f"g/{domain}"], expected)
    assert reaches(sum(of_discriminators.values()), model.discriminators)
    assert reaches(sum(of_generators.values()), model.generators)


def shared_names(first: torch.nn.Module, second: torch.nn.Module) -> list[str]:
    """Names of the parameters that are the same objects in both."""
    others = dict(second.named_parameters())
    return [name for name, parameter in first.named_parameters() if others[name] is parameter]


def test_first_layers_of_generators_and_last_ones_of_discriminators_are_shared() -> None:
    shape = [3, 16, 16]
    generator = partial(DCGANGenerator, sample_shape=shape, width=4)
    discriminator = partial(DCGANDiscriminator, sample_shape=shape, width=4)
    model = CoGAN(generator, discriminator, shape, shape, 1, 2, latent_dim=4)
    # The first transposed convolution (after Unflatten) and its normalization.
    assert shared_names(model.generators["main"], model.generators["a"]) == [
        "layers.1.weight",
        "layers.2.weight",
        "layers.2.bias",
    ]
    # The last convolution, its normalization, and the score.
    assert shared_names(model.discriminators["b"], model.discriminators["a"]) == [
        "layers.2.weight",
        "layers.3.weight",
        "layers.3.bias",
        "heads.score.weight",
        "heads.score.bias",
    ]


def test_spectrally_normalized_layers_are_shared_as_a_whole() -> None:
    shape = [3, 16, 16]
    model = CoGAN(
        partial(ResNetGenerator, sample_shape=shape, width=4),
        partial(ResNetDiscriminator, sample_shape=shape, width=4),
        shape,
        shape,
        2,
        1,
        latent_dim=4,
    )
    first, second = model.discriminators["b"], model.discriminators["a"]
    assert first.heads.score is second.heads.score
    assert first.layers[0].first is not second.layers[0].first
    assert shared_names(first, second) == [
        "heads.score.bias",
        "heads.score.parametrizations.weight.original",
    ]


def test_nothing_or_all_but_one_layer_can_be_shared() -> None:
    apart = cogan(shared_generator_layers=0, shared_discriminator_layers=0)
    assert shared_names(apart.generators["main"], apart.generators["a"]) == []
    assert shared_names(apart.discriminators["b"], apart.discriminators["a"]) == []
    layers = sum(p.ndim == 2 for p in GENERATOR(latent_dim=4).parameters())
    with pytest.raises(ValueError, match=f"shared_generator_layers must be 0 to {layers - 1} for"):
        cogan(shared_generator_layers=layers)
    with pytest.raises(ValueError, match="shared_discriminator_layers must be 0 to"):
        cogan(shared_discriminator_layers=20)


def test_domains_need_one_shape() -> None:
    with pytest.raises(ValueError, match="needs domains of one shape"):
        CoGAN(GENERATOR, CRITIC, [3, 4, 4], SHAPE)
    with pytest.raises(ValueError, match="needs data of two domains"):
        CoGAN(GENERATOR, CRITIC, None, SHAPE)


def test_averaged_generators_share_their_layers_too() -> None:
    model = cogan()
    averaged = EMA(model.generators, half_life=1.0).generators
    names = shared_names(averaged["main"], averaged["a"])
    assert names == shared_names(model.generators["main"], model.generators["a"])
    assert names


def test_both_domains_are_displayed() -> None:
    model = cogan()
    request = SampleRequest(3, StepRNG(0, 0))
    visuals = model.visuals(request, model.generators)
    assert list(visuals) == ["sample", "other domain"]
    torch.testing.assert_close(visuals["sample"], model.sample(request, model.generators))
    assert model.conditioning == "none"
    assert not model.needs_conditions
    assert not model.translates
