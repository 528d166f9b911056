"""InfoGAN's networks for MNIST: layers, and the outputs of Q."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.networks.infogan import InfoGANDiscriminator, InfoGANGenerator


@pytest.mark.parametrize("size", [8, 32, 64])
def test_shapes(size: int) -> None:
    shape = [3, size, size]
    images = InfoGANGenerator(74, shape, width=4, hidden=16)(torch.randn(5, 74))
    assert images.shape == (5, *shape)
    assert images.abs().max() < 1
    output = InfoGANDiscriminator(shape, width=4, hidden=16, aux_outputs=14)(images)
    assert output.score.shape == (5,)
    assert output.aux.shape == (5, 14)
    assert InfoGANDiscriminator(shape, width=4, hidden=16)(images).aux is None


def test_the_papers_digits_have_its_layers() -> None:
    """Appendix C.1: 4x4 convolutions of 64 and 128 channels, 1024 units, Q with 128 units of its own."""
    discriminator = InfoGANDiscriminator([1, 32, 32], width=64, hidden=1024, aux_outputs=12)
    convolutions = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.out_channels, layer.kernel_size, layer.stride) for layer in convolutions] == [
        (64, (4, 4), (2, 2)),
        (128, (4, 4), (2, 2)),
    ]
    dense = [
        layer.out_features for layer in discriminator.modules() if isinstance(layer, nn.Linear)
    ]
    assert dense == [1024, 1, 128, 12], "the dense layer, the score, Q's own layer, the codes"
    assert not isinstance(discriminator.layers[1], nn.BatchNorm2d), (
        "none at the discriminator's input"
    )
    generator = InfoGANGenerator(74, [1, 32, 32], width=64, hidden=1024)
    assert [layer.out_features for layer in generator.layers if isinstance(layer, nn.Linear)] == [
        1024,
        128 * 8 * 8,
    ]
    assert isinstance(generator.layers[-1], nn.Tanh)
    assert isinstance(generator.layers[-2], nn.ConvTranspose2d), (
        "no normalization of the generator's output"
    )


def test_the_score_is_linear_in_the_dense_layer_and_q_reads_the_same() -> None:
    torch.manual_seed(0)
    discriminator = InfoGANDiscriminator([1, 8, 8], width=4, hidden=16, norm="none", aux_outputs=3)
    output = discriminator(torch.randn(2, 1, 8, 8))
    (h,) = output.features
    torch.testing.assert_close(
        output.score, h @ discriminator.heads.score.weight[0] + discriminator.heads.score.bias
    )
    _, first, *_, last = discriminator.aux
    hidden = leaky_relu(h @ first.weight.T + first.bias, 0.1)
    torch.testing.assert_close(output.aux, hidden @ last.weight.T + last.bias)


def test_it_can_be_told_a_condition() -> None:
    discriminator = InfoGANDiscriminator(
        [1, 8, 8], width=4, hidden=16, norm="none", condition_dim=5
    )
    x, condition = torch.randn(2, 1, 8, 8), torch.randn(2, 5)
    score = discriminator(x, condition).score
    assert not torch.equal(score, discriminator(x, -condition).score)


def test_every_norm_but_one() -> None:
    for norm, expected in (
        ("batch", nn.BatchNorm2d),
        ("layer", nn.GroupNorm),
        ("none", nn.Identity),
    ):
        discriminator = InfoGANDiscriminator(
            [1, 8, 8], width=4, hidden=16, norm=norm, aux_outputs=3
        )
        assert sum(isinstance(layer, expected) for layer in discriminator.modules()) == 3
    spectral = InfoGANDiscriminator([1, 8, 8], width=4, hidden=16, norm="spectral")
    assert all(
        is_parametrized(layer)
        for layer in spectral.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    )
    with pytest.raises(
        ValueError,
        match="norm must be one of batch, layer, spectral, none for dense layers, got 'instance'",
    ):
        InfoGANDiscriminator([1, 8, 8], norm="instance")


def test_sizes_that_it_cannot_make_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"generator=infogan works on square images of 8, 16, 32, 64 pixels"
    ):
        InfoGANGenerator(74, [1, 28, 28])
    with pytest.raises(ValueError, match="discriminator=infogan"):
        InfoGANDiscriminator([1, 128, 128])
