"""RRDB: residual scales by hand, dense connections, exact counts, shapes, first weights, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gan_zoo.networks.translation.rrdb import DenseBlock, ResidualInResidual, RRDBNet


def network(scale: int = 2, **options) -> RRDBNet:
    torch.manual_seed(0)
    small = {"width": 4, "blocks": 1, "growth": 2}
    return RRDBNet([3, 4, 6], [3, 4 * scale, 6 * scale], **small | options)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_scales(scale: int) -> None:
    made = network(scale)(torch.randn(2, 3, 4, 6))
    assert made.shape == (2, 3, 4 * scale, 6 * scale)
    assert made.abs().max() < 1
    assert network(scale)(torch.randn(1, 3, 5, 3)).shape == (1, 3, 5 * scale, 3 * scale)


def test_residuals_are_scaled_at_both_levels() -> None:
    """With a last convolution that gives 1 everywhere, a block adds 0.2, and three of them 0.2 times 0.6."""
    x = torch.randn(1, 4, 3, 3)
    block = ResidualInResidual(4, 2)
    for dense in block.layers:
        nn.init.zeros_(dense.layers[-1].weight)
        nn.init.ones_(dense.layers[-1].bias)
    torch.testing.assert_close(block.layers[0](x), x + 0.2)
    torch.testing.assert_close(block(x), x + 0.2 * (x + 0.6))


def test_every_convolution_sees_all_before_it() -> None:
    block = DenseBlock(4, 2)
    assert [layer.in_channels for layer in block.layers] == [4, 6, 8, 10, 12]
    assert [layer.out_channels for layer in block.layers] == [2, 2, 2, 2, 4]
    x = torch.randn(1, 4, 5, 5)
    seen = x
    for layer in block.layers[:-1]:
        seen = torch.cat([seen, nn.functional.leaky_relu(layer(seen), 0.2)], 1)
    torch.testing.assert_close(block(x), x + 0.2 * block.layers[-1](seen))


def test_the_paper_s_network_has_its_parameters() -> None:
    """By hand, from 3x3 convolutions with biases: 16,697,987 at four times the size."""
    dense = sum((64 + 32 * k) * 32 * 9 + 32 for k in range(4)) + (64 + 128) * 64 * 9 + 64
    others = (3 * 64 * 9 + 64) + (64 * 3 * 9 + 3) + 4 * (64 * 64 * 9 + 64)
    with torch.device("meta"):
        made = RRDBNet([3, 32, 32], [3, 128, 128])
    assert sum(p.numel() for p in made.parameters()) == 23 * 3 * dense + others == 16_697_987


def test_there_is_no_normalization_and_blocks_start_near_the_identity() -> None:
    made = network(width=16, growth=8)
    kinds = (nn.modules.batchnorm._NormBase, nn.GroupNorm)
    assert not [layer for layer in made.modules() if isinstance(layer, kinds)]
    x = torch.randn(2, 16, 8, 8)
    assert (made.body[0](x) - x - 0.2 * x).abs().mean() < 0.01
    fan_in = 9 * 16
    assert made.body[0].layers[0].layers[0].weight.std() < 0.15 * (2 / fan_in) ** 0.5


def test_a_skip_connection_leads_around_all_blocks() -> None:
    made, x = network(), torch.randn(2, 3, 4, 6)
    nn.init.zeros_(made.body[-1].weight)
    nn.init.zeros_(made.body[-1].bias)
    torch.testing.assert_close(made(x), made.last(made.enlarge(made.first(x))))


def test_other_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="generator=rrdb enlarges images"):
        RRDBNet([3, 4, 4], [3, 12, 12])
