"""SPADE by hand, labels that instance norm loses, channels, shapes, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.networks.layers.instance_norm import InstanceNorm
from gan_zoo.networks.translation.spade import SPADE, SPADEBlock, SPADEGenerator

SHAPES = {"in_shape": [3, 16, 16], "out_shape": [1, 16, 16]}


def network(**options) -> SPADEGenerator:
    torch.manual_seed(0)
    return SPADEGenerator(**SHAPES | {"width": 4, "hidden": 4} | options)


def uniform(label: int) -> torch.Tensor:
    """A one-hot label map ``[1, 3, 16, 16]`` of one label."""
    return one_hot(torch.full((1, 16, 16), label), 3).permute(0, 3, 1, 2).float()


def test_normalization_by_hand() -> None:
    """Pixels 1, 3, 1, 3 become -1, 1, -1, 1; scales are 1 + 2 relu(m) and shifts 3 relu(m), place by place."""
    layer = SPADE(1, 1, hidden=1)
    with torch.no_grad():
        for conv, value in ((layer.hidden[0], 1.0), (layer.scale, 2.0), (layer.shift, 3.0)):
            conv.weight.zero_()
            conv.bias.zero_()
            conv.weight[0, 0, 1, 1] = value
    x = torch.tensor([[[[1.0, 3.0, 1.0, 3.0]]]])
    condition = torch.tensor([[[[1.0, 1.0, -1.0, 0.0]]]])
    expected = torch.tensor([[[[-3.0 + 3, 3.0 + 3, -1.0, 1.0]]]])
    torch.testing.assert_close(layer(x, condition), expected, atol=1e-4, rtol=0)
    nearest = layer(x, condition.repeat_interleave(2, 3))
    torch.testing.assert_close(nearest, layer(x, condition))


def test_labels_of_uniform_maps_survive() -> None:
    """Instance norm behind a convolution of the map removes them (Park et al. 2019, section 3)."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    layers, spade = nn.Sequential(conv, InstanceNorm(4)), SPADE(4, 3, norm="instance")
    lost = [layers(uniform(label)) for label in range(2)]
    kept = [spade(conv(uniform(label)), uniform(label)) for label in range(2)]
    torch.testing.assert_close(lost[0], lost[1], atol=1e-3, rtol=0)
    assert (kept[0] - kept[1]).abs().mean() > 0.05
    images = [network(norm="instance")(uniform(label)) for label in range(2)]
    assert (images[0] - images[1]).abs().max() > 1e-5


def test_channels_double_towards_the_smallest_size() -> None:
    with torch.device("meta"):
        made = SPADEGenerator([3, 256, 256], [3, 256, 256], width=64, doublings=5)
    pairs = [(block.convs[0].in_channels, block.convs[1].out_channels) for block in made.blocks]
    assert pairs == [
        *((1024, 1024), (1024, 1024), (1024, 512), (512, 256), (256, 128), (128, 64)),
    ]
    assert [block.changes for block in made.blocks] == [False, False, True, True, True, True]


def test_convolutions_of_blocks_have_spectral_norm_and_those_of_conditions_none() -> None:
    block = SPADEBlock(4, 2, 3, 4, "batch")
    normalized = [*block.convs, block.skip_conv]
    assert all(is_parametrized(conv, "weight") for conv in normalized)
    convs = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert sum(is_parametrized(conv, "weight") for conv in convs) == 3


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("size", [(16, 16), (8, 24)])
def test_shapes(norm: str, size: tuple[int, int]) -> None:
    made = network(norm=norm, doublings=2)
    images = made(torch.randn(2, 3, *size))
    assert images.shape == (2, 1, *size)
    assert images.abs().max() < 1
    images.square().sum().backward()
    assert all(p.grad is not None for p in made.parameters())


def test_the_default_starts_at_four_pixels() -> None:
    assert network().multiple == 4
    assert len(network().blocks) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layer"}, "norm must be one of batch, instance, got 'layer'"),
        ({"doublings": 5}, "generator=spade needs sides divisible by 32"),
    ],
)
def test_impossible_generators(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)
