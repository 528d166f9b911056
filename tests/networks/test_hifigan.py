"""HiFi-GAN's networks: their size, their shapes, what a score sees."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from gan_zoo.networks.audio.hifigan import (
    DilatedBlock,
    HiFiGANDiscriminator,
    HiFiGANGenerator,
    PeriodDiscriminator,
    ReceptiveFieldFusion,
)


def size(network: nn.Module) -> int:
    """Parameters as they are used: without the lengths of weight normalization."""
    for layer in network.modules():
        if is_parametrized(layer, "weight"):
            remove_parametrizations(layer, "weight")
    return sum(parameter.numel() for parameter in network.parameters())


def by_hand(width: int) -> int:
    """Of 80 bands, rates 8, 8, 2, 2 and kernels 3, 7, 11 with dilations 1, 3, 5."""
    count = 80 * width * 7 + width
    for rate in (8, 8, 2, 2):
        count += width * (width // 2) * 2 * rate + width // 2
        width //= 2
        count += sum(6 * (width * width * kernel + width) for kernel in (3, 7, 11))
    return count + width * 7 + 1


@pytest.mark.parametrize(("width", "millions"), [(512, 13.92), (128, 0.92)])
def test_the_papers_generators_have_their_number_of_parameters(width: int, millions: float) -> None:
    """Kong et al. 2020, table 1: V1 has 13.92 M and V2 0.92 M parameters."""
    generator = HiFiGANGenerator([80, 32], [1, 8192], width)
    assert size(generator) == by_hand(width)
    # The paper cuts off: V1 has 13,926,017.
    assert math.floor(by_hand(width) / 1e4) / 100 == millions


def test_the_papers_discriminator_has_its_layers() -> None:
    widths = [1, 32, 128, 512, 1024, 1024]
    period = sum(5 * a * b + b for a, b in pairwise(widths)) + 3 * 1024 + 1
    shapes = [(1, 128, 15, 1), (128, 128, 41, 4), (128, 256, 41, 16), (256, 512, 41, 16)]
    shapes += [(512, 1024, 41, 16), (1024, 1024, 41, 16), (1024, 1024, 5, 1), (1024, 1, 3, 1)]
    scale = sum(c_in * c_out * kernel // groups + c_out for c_in, c_out, kernel, groups in shapes)
    with torch.device("meta"):
        network = HiFiGANDiscriminator([1, 8192])
    assert network.num_parts == 8
    biases_and_weights = 0
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            assert is_parametrized(layer, "weight")
            biases_and_weights += layer.weight.numel() + layer.bias.numel()
    assert biases_and_weights == 5 * period + 3 * scale


def test_the_first_scale_alone_has_spectral_normalization() -> None:
    network = HiFiGANDiscriminator([1, 64], width=1)
    kinds = [
        {
            type(layer.parametrizations.weight[0]).__name__
            for layer in scale.modules()
            if is_parametrized(layer, "weight")
        }
        for scale in network.scales
    ]
    assert kinds == [{"_SpectralNorm"}, {"_WeightNorm"}, {"_WeightNorm"}]


@pytest.mark.parametrize("rates", [(4, 4, 2, 2), (8, 8), (2,)])
def test_shapes_and_range_for_any_number_of_frames(rates: tuple[int, ...]) -> None:
    hop = math.prod(rates)
    network = HiFiGANGenerator([6, 4], [1, 4 * hop], width=16, rates=rates)
    for frames in (4, 7):
        sounds = network(torch.randn(2, 6, frames))
        assert sounds.shape == (2, 1, hop * frames)
        assert sounds.abs().max() < 1


def test_a_spectrogram_that_does_not_change_gives_a_sound_of_the_hops_period() -> None:
    """Convolutions make the same of equal frames: steady sounds have harmonics of 1 / hop alone."""
    network = HiFiGANGenerator([6, 64], [1, 1024], width=16, rates=(4, 4), kernels=(3,))
    with torch.no_grad():
        sound = network(torch.randn(1, 6, 1).expand(1, 6, 64))[0, 0, 448:576]  # far from both ends
    assert torch.equal(sound[16:], sound[:-16])
    assert not torch.equal(sound[8:], sound[:-8])


def test_the_fusion_is_a_mean_and_its_blocks_are_residual() -> None:
    fusion = ReceptiveFieldFusion(2, (3, 7), (1, 3))
    h = torch.randn(2, 2, 16)
    torch.testing.assert_close(fusion(h), (fusion.blocks[0](h) + fusion.blocks[1](h)) / 2)
    block = DilatedBlock(2, 3, (1, 3, 5))
    for parameter in block.parameters():
        nn.init.zeros_(parameter) if parameter.ndim == 1 else None
    with torch.no_grad():
        for pair in block.pairs:
            pair[3].parametrizations.weight.original0.zero_()  # the length of the weights
    assert torch.equal(block(h), h)


def seen(network: nn.Module, length: int, score: int) -> Tensor:
    """The samples that a score depends on."""
    x = torch.randn(1, 1, length, requires_grad=True)
    network(x).score[0, score].backward()
    return x.grad.flatten().nonzero().flatten()


@pytest.mark.parametrize("period", [2, 3, 5])
def test_a_score_of_a_period_sees_every_pth_sample_alone(period: int) -> None:
    """A reshape to [p, T / p] in the place of [T / p, p] would show it neighbors instead."""
    network = PeriodDiscriminator(1, period, width=1)
    samples = seen(network, 60, score=1)
    assert (samples % period == 1).all()
    assert len(samples) > 2


def test_the_end_is_reflected_up_to_a_whole_period() -> None:
    network = PeriodDiscriminator(1, 3, width=1)
    x = torch.randn(2, 1, 16)
    padded = torch.cat([x, x[:, :, [14, 13]]], 2)
    torch.testing.assert_close(network(x).score, network(padded).score)


def test_parts_scores_and_features() -> None:
    network = HiFiGANDiscriminator([1, 128], width=1)
    output = network(torch.randn(3, 1, 128))
    assert len(output.parts) == network.num_parts == 8
    assert torch.equal(output.score, torch.cat([part.score for part in output.parts], 1))
    assert [len(part.features) for part in output.parts] == [6] * 5 + [8] * 3
    for part in output.parts:
        assert torch.equal(part.features[-1].flatten(1), part.score), "scores are features, too"


def test_scales_see_averaged_sounds() -> None:
    """What alternates is seen at the first scale alone, but at the ends."""
    network = HiFiGANDiscriminator([1, 512], width=1).eval()
    x = torch.zeros(2, 1, 512)
    x[1, 0, 100:400] = torch.tensor([1.0, -1.0]).repeat(150)
    inner = [
        (part.features[0][1] - part.features[0][0])[:, 60:190] for part in network(x).parts[5:]
    ]
    assert inner[0].abs().max() > 1e-3
    assert inner[1].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": (4, 4)}, r"product 64, the hop .*data.derive.hop.*, got \[4, 4\]"),
        ({"rates": (64, 1)}, "generator.rates must be even"),
        ({"width": 24}, r"multiple of 2\^4"),
        ({"kernels": (3, 4)}, "generator.kernels must be odd"),
        ({"in_shape": [3, 32, 32]}, "use model=hifigan with data=tones"),
    ],
)
def test_impossible_generators(options: dict[str, object], message: str) -> None:
    given = {"in_shape": [6, 4], "out_shape": [1, 256], "width": 16, "rates": (4, 4, 2, 2)}
    with pytest.raises(ValueError, match=message):
        HiFiGANGenerator(**(given | options))


@pytest.mark.parametrize(
    ("shape", "periods", "message"),
    [
        ([3, 32, 32], (2, 3), "discriminator=hifigan works on sounds"),
        ([1, 64], (1, 2), r"from 2 to below the 64 samples of a sound, got \[1, 2\]"),
        ([1, 64], (2, 64), "from 2 to below the 64"),
    ],
)
def test_impossible_discriminators(
    shape: list[int], periods: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HiFiGANDiscriminator(shape, periods, width=1)
