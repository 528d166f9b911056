"""SpecGAN's networks: their size, their shapes."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.networks.audio.specgan import SpecGANDiscriminator, SpecGANGenerator
from gan_zoo.networks.audio.wavegan import WaveGANDiscriminator, WaveGANGenerator


def size(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_as_many_parameters_as_wavegan() -> None:
    """Donahue et al. 2019, tables 2 to 5: kernels of 5x5 and of 25, otherwise the same layers."""
    with torch.device("meta"):
        made, of_waves = SpecGANGenerator(100, [1, 128, 128]), WaveGANGenerator(100, [1, 16384])
        assert size(made) == size(of_waves) == 19_065_345
        judge, of_waves = SpecGANDiscriminator([1, 128, 128]), WaveGANDiscriminator([1, 16384])
        assert size(judge) == size(of_waves) == 17_427_969


@pytest.mark.parametrize("shape", [[1, 8, 8], [1, 16, 32], [2, 24, 16]])
def test_shapes_and_range(shape: list[int]) -> None:
    made = SpecGANGenerator(5, shape, width=2)(torch.randn(3, 5))
    assert list(made.shape) == [3, *shape]
    assert made.abs().max() < 1
    output = SpecGANDiscriminator(shape, width=2)(made)
    assert output.score.shape == (3,)
    assert min(output.features[0].shape[2:]) == 4


def test_no_normalization() -> None:
    kinds = {type(layer).__name__ for layer in SpecGANDiscriminator([1, 16, 16], width=2).modules()}
    kinds |= {type(layer).__name__ for layer in SpecGANGenerator(5, [1, 16, 16], width=2).modules()}
    assert not any("Norm" in kind for kind in kinds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_shape": [1, 4096]}, "works on spectrograms .* use model=specgan for sounds"),
        ({"sample_shape": [1, 12, 16]}, "shorter side is 8, 16, .* got 12 bins and 16 frames"),
        ({"sample_shape": [1, 4, 4]}, "got 4 bins and 4 frames"),
        ({"norm": "batch"}, "discriminator.norm must be none or spectral, got 'batch'"),
    ],
)
def test_what_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpecGANDiscriminator(**{"sample_shape": [1, 16, 16], "width": 2, **options})
