"""AdaIN by hand, what styles and contents reach, shapes of UNIT's and MUNIT's translators."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.networks.layers.adaptive_norm import AdaptiveInstanceNorm
from gan_zoo.networks.layers.instance_norm import InstanceNorm
from gan_zoo.networks.translation.content_style import (
    ContentStyleTranslator,
    EncoderDecoder,
    StyleEncoder,
)

SMALL = {"width": 4, "blocks": 1, "kernel": 3}


def styled(**options) -> ContentStyleTranslator:
    torch.manual_seed(0)
    shapes = {"in_shape": [1, 16, 16], "out_shape": [3, 16, 16]}
    return ContentStyleTranslator(**shapes | SMALL | {"latent_dim": 2, "hidden": 8} | options)


def test_adaptive_instance_norm_by_hand() -> None:
    """Of the pixels 1, 3: mean 2, deviation 1; scale 1 + 2 c and shift 5 c at c = 1."""
    layer = AdaptiveInstanceNorm(1, 1)
    with torch.no_grad():
        layer.scale_and_shift.weight.copy_(torch.tensor([[2.0], [5.0]]))
        layer.scale_and_shift.bias.zero_()
    x = torch.tensor([[[[1.0, 3.0]]]]).repeat(2, 1, 1, 1)
    y = layer(x, torch.tensor([[1.0], [0.0]]))
    torch.testing.assert_close(
        y, torch.tensor([[[[2.0, 8.0]]], [[[-1.0, 1.0]]]]), atol=1e-4, rtol=0
    )


def test_each_sample_has_its_own_scale() -> None:
    layer, x = AdaptiveInstanceNorm(3, 2), torch.randn(4, 3, 5, 5)
    condition = torch.randn(4, 2)
    alone = torch.cat([layer(x[i : i + 1], condition[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(layer(x, condition), alone)


def test_styles_change_images_and_leave_contents() -> None:
    network, x = styled(), torch.randn(2, 1, 16, 16).tanh()
    first, second = (network(x, torch.full((2, 2), value)) for value in (-1.0, 1.0))
    assert first.shape == (2, 3, 16, 16)
    assert first.abs().max() <= 1
    assert (first - second).abs().mean() > 0.05
    assert network.content(x).shape == (2, 16, 4, 4)
    assert network.style(first).shape == (2, 2)


def test_layer_norm_behind_the_blocks_keeps_the_style() -> None:
    """A mistaken twin with instance norm there loses it: one scale and shift of each channel, removed again."""
    x = torch.randn(1, 4, 8, 8)
    scaled = x * torch.tensor([1.0, 2.0, 3.0, 4.0])[None, :, None, None] + 1
    instance = InstanceNorm(4)
    layer = torch.nn.GroupNorm(1, 4)
    torch.testing.assert_close(instance(x), instance(scaled), atol=1e-4, rtol=0)
    assert (layer(x) - layer(scaled)).abs().mean() > 0.1
    norms = [m for m in styled().decoder.doublings if isinstance(m, torch.nn.GroupNorm)]
    assert [norm.num_groups for norm in norms] == [1, 1]


def test_the_style_encoder_sees_brightness_and_contrast() -> None:
    """Instance norm would remove both; the encoder of contents, which has it, sees no contrast."""
    encoder = StyleEncoder([3, 16, 16], 2, 4, 3)
    assert not [m for m in encoder.modules() if isinstance(m, torch.nn.GroupNorm)]
    network = styled(in_shape=[3, 16, 16])
    x = 0.1 * torch.randn(2, 3, 16, 16)
    assert (network.style(x) - network.style(5 * x)).abs().max() > 0.05
    torch.testing.assert_close(network.content(x), network.content(5 * x), atol=2e-3, rtol=0)


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_sizes(side: int) -> None:
    shape = [3, side, side]
    network = EncoderDecoder(shape, shape, **SMALL)
    x = torch.randn(2, *shape)
    assert network(x).shape == x.shape
    torch.testing.assert_close(network(x), network.decode(network.encode(x)))
    assert StyleEncoder(shape, 5, 2, 3)(x).shape == (2, 5)


def test_every_parameter_has_a_part() -> None:
    network, x = styled(), torch.randn(2, 1, 16, 16)
    fake = network(x, torch.randn(2, 2))
    (fake.square().sum() + network.style(fake).square().sum()).backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": 4}, "kernel must be odd, so that the size stays as it is, got 4"),
        ({"in_shape": [1, 18, 18]}, "maps images to images of the same size"),
        (
            {"in_shape": [1, 18, 18], "out_shape": [1, 18, 18]},
            "generator=content_style needs sides divisible by 4",
        ),
    ],
)
def test_impossible_translators(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        styled(**options)
