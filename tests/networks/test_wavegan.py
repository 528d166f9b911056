"""WaveGAN: its size, its shapes, and phase shuffle."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from gan_zoo.networks.audio.wavegan import (
    PhaseShuffle,
    WaveGANDiscriminator,
    WaveGANGenerator,
    shifted,
)


def size(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_networks_have_its_number_of_parameters() -> None:
    # d = 64, c = 1: a linear layer 100 -> 16 x 16d, then 25-tap kernels and biases.
    widths = [1024, 512, 256, 128, 64, 1]
    kernels = sum(25 * a * b for a, b in pairwise(widths))
    generator = 101 * 16 * 1024 + kernels + sum(widths[1:])
    discriminator = kernels + sum(widths[:-1]) + 16 * 1024 + 1
    assert (generator, discriminator) == (19_065_345, 17_427_969)
    with torch.device("meta"):
        assert size(WaveGANGenerator(100, [1, 16384])) == generator
        assert size(WaveGANDiscriminator([1, 16384])) == discriminator


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
@pytest.mark.parametrize("shape", [[1, 64], [2, 256], [1, 1024]])
def test_shapes_and_range(shape: list[int], upsampling: str) -> None:
    sounds = WaveGANGenerator(5, shape, width=2, upsampling=upsampling)(torch.randn(3, 5))
    assert list(sounds.shape) == [3, *shape]
    assert sounds.abs().max() < 1
    assert WaveGANDiscriminator(shape, width=2)(sounds).score.shape == (3,)


def test_shifts_by_hand() -> None:
    x = torch.arange(6.0).expand(5, 2, 6)
    moved = shifted(x, torch.tensor([0, 1, 2, -1, -2]))
    assert moved[:, 0].tolist() == [
        [0, 1, 2, 3, 4, 5],
        [1, 0, 1, 2, 3, 4],
        [2, 1, 0, 1, 2, 3],
        [1, 2, 3, 4, 5, 4],
        [2, 3, 4, 5, 4, 3],
    ]
    assert torch.equal(moved[:, 0], moved[:, 1]), "all channels of a sample move together"


def test_phase_shuffle_moves_each_sample_in_training_and_none_in_evaluation() -> None:
    x = torch.arange(20.0).expand(4000, 1, 20)
    shuffle = PhaseShuffle(2)
    torch.manual_seed(0)
    found = (10 - shuffle(x)[:, 0, 10]).long()
    counts = torch.bincount(found + 2, minlength=5)
    assert len(counts) == 5
    assert ((counts - 800).abs() < 120).all(), "uniform over -2 ... 2"
    torch.manual_seed(0)
    assert torch.equal(10 - shuffle(x)[:, 0, 10].long(), found), (
        "as dropout, from torch's generator"
    )
    assert torch.equal(shuffle.eval()(x), x)


def test_the_discriminator_shuffles_after_every_layer_but_the_last() -> None:
    network = WaveGANDiscriminator([1, 1024], width=2)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == [*["Conv1d", "LeakyReLU", "PhaseShuffle"] * 2, "Conv1d", "LeakyReLU"]
    x = torch.randn(4, 1, 1024)
    assert not torch.equal(network(x).score, network(x).score)
    network.eval()
    assert torch.equal(network(x).score, network(x).score)
    without = WaveGANDiscriminator([1, 1024], width=2, phase_shuffle=0)
    without.load_state_dict(network.state_dict())
    assert torch.equal(without(x).score, network(x).score)


def test_gradients_of_gradients_pass_the_shift() -> None:
    x = torch.randn(3, 2, 8, dtype=torch.float64, requires_grad=True)
    shifts = torch.tensor([2, 0, -1])
    assert torch.autograd.gradgradcheck(lambda x: shifted(x, shifts).pow(3).sum(), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sample_shape": [1, 1000]},
            "sounds of 64, 256, 1024, .* samples, got 1000: set data.length",
        ),
        ({"sample_shape": [1, 16]}, "got 16"),
        (
            {"sample_shape": [3, 32, 32]},
            r"works on sounds; the data's sample_shape is \[3, 32, 32\]",
        ),
        ({"phase_shuffle": 16}, "discriminator.phase_shuffle must be from 0 to 15, got 16"),
        ({"norm": "batch"}, "discriminator.norm must be none or spectral, got 'batch'"),
    ],
)
def test_what_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WaveGANDiscriminator(**{"sample_shape": [1, 1024], "width": 2, **options})


def test_unknown_upsampling_is_refused() -> None:
    with pytest.raises(ValueError, match="one of transposed, nearest, got 'linear'"):
        WaveGANGenerator(5, [1, 64], upsampling="linear")
