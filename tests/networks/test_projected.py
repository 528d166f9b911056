"""Projected GAN: what is frozen, mixed and scored; FastGAN's generator; the warning of shared features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.networks.fastgan import EXCITED_BY, DoublingStep, FastGANGenerator
from gan_zoo.networks.projected import ProjectedDiscriminator
from gan_zoo.reports.terminal_summary import print_summary
from gan_zoo.runs.folder import RunFolder

SHAPE = [3, 64, 64]


class Pyramid(nn.Module):
    """Features of halving sizes, 2, 4 and 8 channels, from a network with batch statistics."""

    network_name = "pyramid"

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c_in, 2 * c_in, 3, 2, 1), nn.BatchNorm2d(2 * c_in))
            for c_in in (3, 6, 12)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        found = [images]
        for layer in self.layers:
            found.append(layer(found[-1]))
        return found[1:]


def projected() -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(SHAPE, Pyramid(), width=4)


def test_features_and_mixing_are_frozen_and_the_network_stays_in_evaluation_mode() -> None:
    discriminator = projected().train()
    assert not discriminator.features.training
    trained = {name for name, p in discriminator.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith("scales") for name in trained)
    assert not any("features" in name or "_frozen" in name for name in discriminator.state_dict())
    kept = [b.clone() for b in discriminator.features.buffers()]
    discriminator(torch.randn(4, *SHAPE)).score.sum().backward()
    assert all(
        torch.equal(a, b) for a, b in zip(kept, discriminator.features.buffers(), strict=True)
    )
    assert all(p.grad is None for p in discriminator.features.parameters())
    assert all(p.grad is not None for p in discriminator.parameters())
    assert any("channel_mixing" in name for name in discriminator.state_dict()), "random, so saved"
    double = projected().double()
    assert next(double.features.parameters()).dtype == torch.float64, "moves along"


def test_mixing_by_hand() -> None:
    """From the deepest layer: mix channels, add what comes from below, double, mix."""
    discriminator = projected()
    features = discriminator.features(torch.randn(2, *SHAPE))
    x = torch.randn(2, *SHAPE)
    features = discriminator.features(x)
    assert [f.shape[1:] for f in features] == [(6, 32, 32), (12, 16, 16), (24, 8, 8)]

    def double(h: Tensor) -> Tensor:
        return nn.functional.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=True)

    channel, scale = discriminator.channel_mixing, discriminator.scale_mixing
    deepest = scale[2](double(channel[2](features[2])))
    middle = scale[1](double(channel[1](features[1]) + deepest))
    first = scale[0](double(channel[0](features[0]) + middle))
    found = discriminator.mixed(x)
    for ours, expected in zip(found, (first, middle, deepest), strict=True):
        torch.testing.assert_close(ours, expected)
    assert [f.shape[1] for f in found] == [4, 4, 8]


def test_every_layer_has_its_own_scores() -> None:
    output = projected()(torch.randn(4, *SHAPE))
    assert len(output.parts) == 3
    assert all(part.score.shape == (4, 1, 5, 5) for part in output.parts), "5x5 patches of 8x8"
    assert output.score.shape == (4, 75)


def test_gradients_reach_the_images_through_every_layer() -> None:
    discriminator = projected()
    for number in range(3):
        x = torch.randn(2, *SHAPE, requires_grad=True)
        discriminator(x).parts[number].score.sum().backward()
        assert x.grad.abs().sum() > 0


def test_conditions_are_refused() -> None:
    with pytest.raises(ValueError, match="discriminator=projected scores images alone"):
        ProjectedDiscriminator(SHAPE, Pyramid(), condition_dim=3)


@pytest.mark.parametrize("size", [8, 32, 64, 256])
@pytest.mark.parametrize("lite", [False, True])
def test_fastgan_makes_images_of_every_size(size: int, lite: bool) -> None:
    torch.manual_seed(0)
    g = FastGANGenerator(16, [3, size, size], width=4, lite=lite)
    images = g(torch.randn(3, 16))
    assert images.shape == (3, 3, size, size)
    assert images.abs().max() < 1
    steps = [m for m in g.modules() if isinstance(m, DoublingStep)]
    assert len(steps) == len(g.sizes) * (1 if lite else 2)
    assert set(g.excitations) == {str(side) for side in EXCITED_BY if side <= size}
    images.sum().backward()
    assert all(p.grad is not None for p in g.parameters())


@pytest.mark.parametrize(("lite", "published"), [(False, 105_684_175), (True, 79_354_307)])
def test_fastgan_has_as_many_parameters_as_the_authors(lite: bool, published: int) -> None:
    """At 256 pixels, counted in the networks of autonomousvision/projected-gan."""
    with torch.device("meta"):
        g = FastGANGenerator(256, [3, 256, 256], width=128, lite=lite)
    assert sum(p.numel() for p in g.parameters()) == published


def test_latents_count_by_their_direction_and_noise_is_for_training() -> None:
    torch.manual_seed(0)
    g = FastGANGenerator(16, [1, 8, 8], width=4)
    for step in (m for m in g.modules() if isinstance(m, DoublingStep)):
        nn.init.ones_(step.strength)
    z = torch.randn(2, 16)
    assert not torch.equal(g(z), g(z))
    g.eval()
    torch.testing.assert_close(g(z), g(5 * z))
    assert torch.equal(g(z), g(z)), "the same seed gives the same image"


def test_small_maps_gate_the_channels_of_large_ones() -> None:
    torch.manual_seed(0)
    g = FastGANGenerator(16, [1, 64, 64], width=4).eval()
    gates = g.excitations["64"](torch.randn(2, 64, 4, 4))
    assert gates.shape == (2, 8, 1, 1)
    assert 0 < gates.min() < gates.max() < 1


def test_the_preset_trains_and_its_metric_warns(composed, tmp_path, capsys) -> None:
    small = ["data=digits", "data.image_size=32", "data.batch_size=4", "generator.width=4"]
    fast = ["discriminator.features.image_size=32", "discriminator.width=4", "trainer.max_steps=1"]
    quiet = ["callbacks.doctor=null", "callbacks.samples=null", "logger=none"]
    measured = ["callbacks.evaluation.num_samples=8", "extractor.image_size=32"]
    trainer, module, data = build(
        composed("model=projected_gan", "loss=hinge", *small, *fast, *quiet, *measured)
    )
    trainer.fit(module, datamodule=data)
    evaluation = next(c for c in trainer.callbacks if hasattr(c, "evaluators"))
    assert "the discriminator sees the features" in evaluation.scores[0].protocol["warning"]
    print_summary(RunFolder(tmp_path), trainer, module)
    assert "warning" in capsys.readouterr().out
    samples = module.sample(SampleRequest(4, StepRNG(0, 0)))
    assert samples.shape == (4, 1, 32, 32)
