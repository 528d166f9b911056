"""Shapes, ranges, and the rules of the DCGAN paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.networks.autoencoder import AutoEncoder
from gan_zoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_zoo.networks.infogan import InfoGANDiscriminator
from gan_zoo.networks.layers.normalization import norm_layer
from gan_zoo.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.resnet import ResNetDiscriminator, ResNetGenerator


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_dcgan_makes_and_judges_images(size: int, channels: int) -> None:
    shape = [channels, size, size]
    images = DCGANGenerator(10, shape, width=4)(torch.randn(2, 10))
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1
    assert DCGANDiscriminator(shape, width=4)(images).score.shape == (2,)


def test_the_papers_rules() -> None:
    generator, discriminator = (
        DCGANGenerator(100, [3, 64, 64], width=128),
        DCGANDiscriminator([3, 64, 64], width=128),
    )
    layers = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m.out_channels for m in layers] == [1024, 512, 256, 128, 3]
    assert not any(
        isinstance(m, (nn.Linear, nn.MaxPool2d, nn.AvgPool2d))
        for p in (generator, discriminator.layers)
        for m in p.modules()
    ), "no pooling, no hidden fully connected layer"
    assert all(
        m.negative_slope == 0.2 for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)
    )
    assert isinstance(generator.layers[-1], nn.Tanh)
    assert not isinstance(generator.layers[-2], nn.BatchNorm2d)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in generator.modules()) == 4
    assert sum(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules()) == 3
    assert isinstance(discriminator.layers[1], nn.LeakyReLU), (
        "no normalization at the discriminator's input"
    )
    for network in (generator, discriminator):
        weights = [
            m.weight.detach()
            for m in network.modules()
            if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
        ]
        assert all(abs(float(w.std()) - 0.02) < 0.002 for w in weights)


@pytest.mark.parametrize("shape", [[2], [1, 8, 8]])
def test_mlp(shape: list[int]) -> None:
    torch.manual_seed(0)
    samples = MLPGenerator(5, shape, width=8)(1000 * torch.randn(4, 5))
    assert samples.shape == (4, *shape)
    assert (samples.abs().max() <= 1) == (len(shape) > 1), "images end in a tanh, vectors do not"
    assert MLPDiscriminator(shape, width=8)(samples).score.shape == (4,)


def test_dropout_of_the_mlp_is_for_training_alone() -> None:
    torch.manual_seed(0)
    network = MLPDiscriminator([4], width=64, depth=2, dropout=0.5)
    x = torch.randn(3, 4)

    # Another half of the units in each pass; all of them in evaluation.
    assert not torch.equal(network(x).score, network(x).score)
    network.eval()
    assert torch.equal(network(x).score, network(x).score)
    assert torch.count_nonzero(network.train().layers[:4](x)) < 0.7 * 3 * 64
    with pytest.raises(ValueError, match=r"dropout must be >= 0 and < 1, got 1.0"):
        MLPDiscriminator([4], dropout=1.0)


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("shape", [[2], [3, 16, 16]])
def test_an_autoencoders_score_is_its_error(shape: list[int], distance: str) -> None:
    discriminator, x = (
        AutoEncoder(shape, width=4, code_dim=6, distance=distance).eval(),
        torch.randn(3, *shape),
    )
    output = discriminator(x)
    error = output.aux - x
    by_hand = [
        float(e.detach().abs().mean() if distance == "l1" else e.detach().square().mean())
        for e in error
    ]
    assert output.score.tolist() == pytest.approx(by_hand, rel=1e-5)
    assert output.features[0].shape[0] == 3
    assert output.features[0].flatten(1).shape[1] == (6 if len(shape) > 1 else 1)


@pytest.mark.parametrize("norm", ["batch", "layer", "instance", "spectral", "none"])
def test_norms(norm: str) -> None:
    discriminator = DCGANDiscriminator([1, 16, 16], width=4, norm=norm)
    discriminator(torch.randn(2, 1, 16, 16)).score.sum().backward()
    assert any(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules()) == (norm == "batch")


@pytest.mark.parametrize("norm", ["layer", "instance", "spectral", "none"])
def test_only_batch_norm_mixes_samples(norm: str) -> None:
    discriminator = DCGANDiscriminator([1, 16, 16], width=4, norm=norm).eval()
    x = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(discriminator(x).score[:2], discriminator(x[:2]).score)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_an_autoencoder_without_batch_norm_judges_samples_alone(norm: str) -> None:
    discriminator, x = (
        AutoEncoder([1, 16, 16], width=4, code_dim=6, norm=norm),
        torch.randn(4, 1, 16, 16),
    )
    torch.testing.assert_close(discriminator(x).score[:2], discriminator(x[:2]).score)


def test_spectral_norm_bounds_every_layer() -> None:
    discriminator = DCGANDiscriminator([1, 16, 16], width=8, norm="spectral")
    for _ in range(30):
        discriminator(torch.randn(2, 1, 16, 16))
    for m in discriminator.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            assert torch.linalg.matrix_norm(
                m.weight.detach().flatten(1), 2
            ).item() == pytest.approx(1, abs=0.02)


def largest_singular_value(layer: nn.Module) -> float:
    weight = layer.weight.detach()
    rows = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return torch.linalg.matrix_norm(rows.flatten(1), 2).item()


MAKES = {
    "dcgan discriminator": lambda: DCGANDiscriminator([1, 16, 16], width=8, norm="spectral"),
    "dcgan generator": lambda: DCGANGenerator(10, [1, 16, 16], width=8, norm="spectral+batch"),
    "patchgan": lambda: PatchGAN([1, 16, 16], layers=2, width=8, norm="spectral"),
    "autoencoder": lambda: AutoEncoder([1, 16, 16], width=8, code_dim=6, norm="spectral"),
    "autoencoder of vectors": lambda: AutoEncoder([4], width=8, code_dim=6, norm="spectral"),
    "mlp": lambda: MLPDiscriminator([4], width=32, norm="spectral"),
    "infogan": lambda: InfoGANDiscriminator([1, 16, 16], width=8, hidden=32, norm="spectral"),
    "resnet discriminator": lambda: ResNetDiscriminator(
        [1, 16, 16], width=8, norm="spectral", attention=8
    ),
    "resnet generator": lambda: ResNetGenerator(
        10, [1, 16, 16], width=8, norm="spectral+batch", attention=8
    ),
}


@pytest.mark.parametrize("name", MAKES)
def test_spectral_norm_is_that_of_the_first_weights(name: str) -> None:
    """Every layer starts with the gain 1, before any training pass; weights are those of the network's own init."""
    torch.manual_seed(0)
    network = MAKES[name]().eval()
    weighted = [
        m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    ]
    assert all(is_parametrized(layer, "weight") for layer in weighted)
    for layer in weighted:
        assert largest_singular_value(layer) == pytest.approx(1, abs=0.1)
    if name.startswith(("dcgan", "patchgan")):
        widest = max(
            (layer.parametrizations.weight.original for layer in weighted), key=torch.numel
        )
        assert widest.std().item() == pytest.approx(0.02, rel=0.1), (
            "N(0, 0.02) is what is normalized"
        )


@pytest.mark.parametrize("norm", ["batch", "layer", "instance"])
def test_both_kinds_of_normalization_go_together(norm: str) -> None:
    generator = DCGANGenerator(10, [1, 16, 16], width=4, norm=f"spectral+{norm}")
    assert type(norm_layer(f"spectral+{norm}")(4)) is type(norm_layer(norm)(4))
    assert sum(type(layer) is type(norm_layer(norm)(4)) for layer in generator.modules()) == 2
    hidden = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)][:-1]
    assert all(layer.bias is None for layer in hidden), "activations are centered after it"
    generator(torch.randn(2, 10)).sum().backward()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: norm_layer("spectral+none"), r"spectral\+batch, .*got 'spectral\+none'"),
        (lambda: norm_layer("batch+spectral"), r"got 'batch\+spectral'"),
        (
            lambda: AutoEncoder([3, 48, 48]),
            "square images of 8, 16, 32, 64, 128, 256 pixels, got 48x48",
        ),
        (lambda: DCGANGenerator(10, [3, 33, 64]), "48x64 or 96x320, got 33x64"),
        (lambda: DCGANDiscriminator([2]), "use model=gan for vectors"),
        (
            lambda: norm_layer("bach"),
            "norm must be one of batch, instance, layer, spectral, none, .*got 'bach'",
        ),
        (lambda: MLPDiscriminator([2], norm="batch"), "norm must be one of none, spectral"),
        (lambda: MLPGenerator(3, [2], depth=0), "depth must be >= 1, got 0"),
        (lambda: AutoEncoder([2], distance="l3"), "distance must be one of l1, l2, got 'l3'"),
    ],
)
def test_impossible_networks_say_what_is_possible(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
