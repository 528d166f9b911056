"""StarGAN v2's translator: blocks and AdaIN by hand, what styles reach, sizes of the paper's networks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.networks.translation.adaptive_translator import (
    AdaptiveBlock,
    AdaptiveTranslator,
    PreactivationBlock,
)

SHAPE = [3, 16, 16]


def network(**options) -> AdaptiveTranslator:
    torch.manual_seed(0)
    sizes = {"latent_dim": 5, "width": 4, "max_width": 8, "halvings": 2, "blocks": 1}
    return AdaptiveTranslator(SHAPE, SHAPE, **sizes | options)


def normalized(x: Tensor) -> Tensor:
    """Each channel of each sample by its own mean and biased variance."""
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) / ((x - mean).square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def test_adain_sets_the_mean_and_the_deviation_of_every_channel() -> None:
    torch.manual_seed(0)
    norm = AdaptiveBlock(3, 3, 2).before
    x, style = 5 * torch.randn(2, 3, 8, 8) + 7, torch.randn(2, 2)
    y = norm(x, style)
    scale, shift = (style @ norm.scale_and_shift.weight.T + norm.scale_and_shift.bias).chunk(2, 1)
    torch.testing.assert_close(y.mean((2, 3)), shift, atol=1e-5, rtol=0)
    deviation = y.std((2, 3), correction=0)
    torch.testing.assert_close(deviation, (1 + scale).abs(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("up", [False, True])
def test_an_adaptive_block_by_hand(up: bool) -> None:
    torch.manual_seed(0)
    block = AdaptiveBlock(4, 3, 2, up)
    x, style = torch.randn(2, 4, 4, 4), torch.randn(2, 2)

    def adain(layer: nn.Module, values: Tensor) -> Tensor:
        vector = F.linear(style, layer.scale_and_shift.weight, layer.scale_and_shift.bias)
        scale, shift = vector[:, :, None, None].chunk(2, 1)
        return (1 + scale) * normalized(values) + shift

    def doubled(values: Tensor) -> Tensor:
        return values.repeat_interleave(2, 2).repeat_interleave(2, 3) if up else values

    y = block.first(doubled(F.leaky_relu(adain(block.before, x), 0.2)))
    y = block.second(F.leaky_relu(adain(block.between, y), 0.2))
    expected = (F.conv2d(doubled(x), block.skip.weight) + y) / 2**0.5
    torch.testing.assert_close(block(x, style), expected)


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_a_halving_block_by_hand(norm: str) -> None:
    torch.manual_seed(0)
    block = PreactivationBlock(3, 4, norm, down=True)
    x = torch.randn(2, 3, 4, 6)
    prepare = normalized if norm == "instance" else lambda values: values

    def halved(values: Tensor) -> Tensor:
        return values.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))

    y = halved(block.first(F.leaky_relu(prepare(x), 0.2)))
    y = block.second(F.leaky_relu(prepare(y), 0.2))
    # The shortcut is projected first, as in the paper, and halved here first: it commutes.
    expected = (halved(F.conv2d(x, block.skip.weight)) + y) / 2**0.5
    torch.testing.assert_close(block(x), expected)


def test_styles_enter_behind_the_encoder_alone() -> None:
    made = network()
    x = torch.randn(1, *SHAPE).expand(2, -1, -1, -1)
    seen: list[Tensor] = []
    made.encoder.register_forward_hook(lambda _, inputs, output: seen.append(output))
    one, two = made(x, torch.randn(2, 5))
    assert torch.equal(*seen[0])
    assert (one - two).abs().max() > 1e-3


def test_any_size_that_can_be_halved() -> None:
    made = network()
    assert made.multiple == 4
    assert made(torch.randn(1, 3, 8, 24), torch.randn(1, 5)).shape == (1, 3, 8, 24)


def test_every_parameter_gets_a_gradient() -> None:
    made = network()
    made(torch.randn(2, *SHAPE), torch.randn(2, 5)).square().mean().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        # Biases before a normalization do nothing.
        silent = name.endswith("first.bias") or ".second.bias" in name
        assert silent or parameter.grad.abs().sum() > 0, name


def conv(c_in: int, c_out: int, kernel: int = 3) -> int:
    return c_in * c_out * kernel**2 + c_out


@pytest.mark.parametrize(("halvings", "published"), [(4, 33_892_995), (5, 43_467_395)])
def test_parameters_of_the_network_at_256_pixels(halvings: int, published: int) -> None:
    """Without and with the fifth halving, which the authors' network for faces has."""
    widths = [64, 128, 256, 512, 512, 512][: halvings + 1]
    steps = [*pairwise(widths), (512, 512), (512, 512)]

    def skip(a: int, b: int) -> int:
        return a * b if a != b else 0

    def adain(channels: int) -> int:
        return 2 * channels * (64 + 1)

    encoder = sum(conv(a, a) + conv(a, b) + skip(a, b) + 2 * 2 * a for a, b in steps)
    decoder = sum(conv(b, a) + conv(a, a) + skip(a, b) + adain(a) + adain(b) for a, b in steps)
    expected = conv(3, 64) + encoder + decoder + 2 * 64 + conv(64, 3, 1)
    assert expected == published
    with torch.device("meta"):
        made = AdaptiveTranslator([3, 256, 256], [3, 256, 256], 64, halvings=halvings)
    assert sum(p.numel() for p in made.parameters()) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "must be >= 1, got 4, 8, 2 and 0"),
        ({"halvings": 4}, "generator=adaptive_translator needs at least 32 pixels"),
        ({"in_shape": [3, 18, 18], "out_shape": [3, 18, 18]}, "needs sides divisible by 4"),
        ({"in_shape": [3, 8, 8]}, "maps images to images of the same size"),
    ],
)
def test_impossible_networks(options: dict, message: str) -> None:
    shapes = {"in_shape": SHAPE, "out_shape": SHAPE}
    sizes = {"latent_dim": 5, "width": 4, "max_width": 8, "halvings": 2, "blocks": 1}
    with pytest.raises(ValueError, match=message):
        AdaptiveTranslator(**shapes | sizes | options)
