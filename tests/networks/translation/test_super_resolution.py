"""SRResNet: pixel shuffle, skip connections by hand, shapes, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gan_zoo.networks.translation.super_resolution import ResidualBlock, SRResNet

SMALL = {"width": 4, "blocks": 2, "kernel": 3}


def network(scale: int = 2, **options) -> SRResNet:
    torch.manual_seed(0)
    return SRResNet([3, 4, 6], [3, 4 * scale, 6 * scale], **SMALL | options)


def images(height: int = 4, width: int = 6) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1)).tanh()


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_scales(scale: int) -> None:
    made = network(scale)(images())
    assert made.shape == (2, 3, 4 * scale, 6 * scale)
    assert made.abs().max() < 1
    assert network(scale)(images(5, 3)).shape == (2, 3, 5 * scale, 3 * scale), "any size"
    shuffles = [layer for layer in network(scale).modules() if isinstance(layer, nn.PixelShuffle)]
    assert 2 ** len(shuffles) == scale


def test_pixel_shuffle_moves_channels_to_places() -> None:
    """Channel 2 i + j of each group of four goes to row i, column j of its pixel's square."""
    channels = torch.arange(8.0).view(1, 8, 1, 1)
    made = network().enlarge[1](channels)
    assert made.tolist() == [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]


def test_skip_connections_by_hand() -> None:
    """With a body of zeros the features alone are enlarged; with zeros in a block it is the identity."""
    made, x = network(norm="none").eval(), images()
    for parameter in made.body[-2].parameters():
        nn.init.zeros_(parameter)
    features = made.first(x)
    torch.testing.assert_close(made(x), made.last(made.enlarge(features)))

    block = ResidualBlock(4, "none")
    for parameter in block.layers[3].parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(features), features)


def test_slopes_start_as_prelu_sets_them() -> None:
    """An initialization that takes one-dimensional weights for scales would make slopes of 1: no nonlinearity."""
    slopes = [layer.weight for layer in network().modules() if isinstance(layer, nn.PReLU)]
    assert len(slopes) == 1 + 2 + 1
    assert all(slope.item() == 0.25 for slope in slopes)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
def test_every_parameter_gets_a_gradient(norm: str) -> None:
    made = network(4, norm=norm)
    made(images()).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in made.parameters())


@pytest.mark.parametrize(
    ("out_shape", "options", "message"),
    [
        ([3, 12, 18], {}, r"by 1, 2, 4, 8, ...: set data.derive.factor, got \[3, 4, 6\] to"),
        ([3, 8, 6], {}, "enlarges images"),
        ([3, 2, 3], {}, "enlarges images"),
        ([3, 8, 12], {"blocks": 0}, "blocks must be >= 1, got 0"),
        ([3, 8, 12], {"kernel": 4}, "kernel must be odd, so that the size stays as it is, got 4"),
        ([3, 8, 12], {"norm": "spectral"}, "norm must be one of batch, instance, layer, none"),
    ],
)
def test_impossible_networks(out_shape: list[int], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SRResNet([3, 4, 6], out_shape, **SMALL | options)
