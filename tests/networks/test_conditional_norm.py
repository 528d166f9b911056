"""Conditions of generators: at every normalization or next to the latents."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.models.conditioning import ConcatenatedCondition, accepts, conditional_generator
from gan_zoo.networks.dcgan import DCGANGenerator
from gan_zoo.networks.layers.conditional_norm import ConditionalBatchNorm
from gan_zoo.networks.mlp import MLPGenerator
from gan_zoo.networks.resnet import ResNetGenerator

SHAPE = [1, 16, 16]
NETWORKS = {"dcgan": DCGANGenerator, "resnet": ResNetGenerator}


def test_scale_and_shift_by_hand() -> None:
    torch.manual_seed(0)
    layer, x, condition = ConditionalBatchNorm(3, 2), torch.randn(5, 3, 4, 4), torch.randn(5, 2)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    scale = 1 + condition @ layer.scale.weight.T
    shift = condition @ layer.shift.weight.T
    expected = (x - mean) / (variance + 1e-5).sqrt() * scale[:, :, None, None] + shift[
        :, :, None, None
    ]
    torch.testing.assert_close(layer(x, condition), expected, rtol=1e-5, atol=1e-5)


def test_the_scale_starts_as_dcgans() -> None:
    """N(1, 0.02) for conditions of length 1, N(0, 0.02) for the shift."""
    torch.manual_seed(0)
    layer = ConditionalBatchNorm(20_000, 8)
    condition = nn.functional.normalize(torch.randn(1, 8), dim=1)
    for part in (layer.scale, layer.shift):
        values = part(condition)
        assert values.mean().abs() < 1e-3
        assert values.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("norm", ["conditional", "spectral+conditional"])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_condition_reaches_every_normalization(network: str, norm: str) -> None:
    torch.manual_seed(0)
    generator = NETWORKS[network](5, SHAPE, width=8, norm=norm, condition_dim=3)
    layers = [m for m in generator.modules() if isinstance(m, ConditionalBatchNorm)]
    assert layers
    assert not [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d) and m.affine]
    latents, condition = torch.randn(4, 5), torch.randn(4, 3, requires_grad=True)
    (samples := generator(latents, condition)).square().sum().backward()
    assert samples.shape == (4, *SHAPE)
    assert condition.grad.abs().sum() > 0
    assert all(p.grad is not None for layer in layers for p in layer.parameters())
    generator.eval()
    other = generator(latents, condition.detach().roll(1, 0))
    assert not torch.allclose(generator(latents, condition.detach()), other)


@pytest.mark.parametrize("network", NETWORKS)
def test_without_it_the_condition_follows_the_latents(network: str) -> None:
    """The same weights as a generator of longer latents, and the same samples."""
    torch.manual_seed(1)
    given = NETWORKS[network](5, SHAPE, width=8, condition_dim=3).eval()
    torch.manual_seed(1)
    longer = NETWORKS[network](8, SHAPE, width=8).eval()
    torch.testing.assert_close(given.state_dict(), longer.state_dict(), rtol=0, atol=0)
    latents, condition = torch.randn(4, 5), torch.randn(4, 3)
    assert torch.equal(given(latents, condition), longer(torch.cat([latents, condition], 1)))


def test_generators_without_the_argument_get_longer_latents() -> None:
    generator = conditional_generator(partial(MLPGenerator, sample_shape=[2]), 5, 3)
    assert isinstance(generator, ConcatenatedCondition)
    assert generator.network.layers[0].in_features == 8
    assert accepts(partial(DCGANGenerator, sample_shape=SHAPE), "condition_dim")
    assert not accepts(lambda **options: None, "condition_dim")


def test_a_conditional_norm_without_condition_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"generator.norm=conditional needs a model that gives .* such as"
    ):
        DCGANGenerator(5, SHAPE, norm="conditional")


def test_the_class_reaches_the_samples_of_a_model(tiny) -> None:
    from gan_zoo.config.build import build

    _, module, _ = build(tiny("model=cgan_single", "data=digits", "generator.norm=conditional"))
    generator = module.model.generators["main"].eval()
    assert isinstance(generator, DCGANGenerator)
    latents = torch.randn(1, 100).expand(3, -1)
    request = SampleRequest(3, StepRNG(0, 0), latents, label=torch.tensor([0, 1, 1]))
    first, second, same = module.model.sample(request, module.model.generators)
    assert torch.equal(second, same)
    assert not torch.allclose(first, second)
