"""pix2pixHD: feature matching by hand, who is trained by it, a mistaken twin, the generator, a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.reconstruction import L1
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, DiscriminatorOutput, total_loss
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.models.translation.pix2pixhd import Pix2PixHD, feature_distance
from gan_zoo.networks.patchgan import MultiScalePatchGAN, PatchGAN, half_size
from gan_zoo.networks.translation.coarse_to_fine import CoarseToFineTranslator
from tests.helpers import invoke

from .playing import gradients, reaches, turns

SHAPE = [3, 16, 16]


def pairs(size: int = 2) -> Batch:
    draw = torch.Generator().manual_seed(0)
    real, condition = torch.randn(2, size, *SHAPE, generator=draw).tanh()
    return Batch(size, StepRNG(0, 0), real=real, condition=condition)


def model(**options) -> Pix2PixHD:
    return Pix2PixHD(
        lambda in_shape, out_shape: nn.Conv2d(in_shape[0], out_shape[0], 1),
        lambda condition_channels: MultiScalePatchGAN(
            2, SHAPE, condition_channels=condition_channels, layers=1, width=4, all_features=True
        ),
        L1(),
        **{"a_shape": SHAPE, "b_shape": SHAPE} | options,
    )


def output(*features: Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.zeros(1), torch.zeros(1), features=features)


def test_distances_by_hand() -> None:
    """Scale 1: layers at mean distances 1 and 2; scale 2: one at 5. The mean of their sums is 4."""
    fakes = (output(torch.ones(1, 4), torch.full((1, 2), 3.0)), output(torch.zeros(1, 1)))
    reals = (output(torch.zeros(1, 4), torch.tensor([[2.0, 0.0]])), output(torch.full((1, 1), 5.0)))
    fake, real = (
        DiscriminatorOutput(torch.zeros(1), torch.zeros(1), parts=parts) for parts in (fakes, reals)
    )
    assert feature_distance(fake, real).item() == (1 + 2 + 5) / 2
    assert feature_distance(fakes[0], reals[0]).item() == 3


def test_a_layer_of_many_activations_does_not_outweigh_the_others() -> None:
    """A mistaken twin, the mean over all activations together, does not see the small layer."""
    fake, real = output(torch.zeros(1, 1000), torch.ones(1, 1)), output(*[torch.zeros(1, 1)] * 2)
    real.features = (torch.zeros(1, 1000), torch.zeros(1, 1))
    together = torch.cat([f - r for f, r in zip(fake.features, real.features, strict=True)], 1)
    assert feature_distance(fake, real).item() == 1
    assert together.abs().mean().item() < 0.01


def test_activations_of_reals_are_constants() -> None:
    ours, theirs = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    found = torch.autograd.grad(
        feature_distance(output(ours), output(theirs)), [ours, theirs], allow_unused=True
    )
    torch.testing.assert_close(found[0], (ours - theirs).detach().sign() / 6)
    assert found[1] is None


def test_terms_by_hand() -> None:
    made, data = model(feature_weight=3.0), pairs()
    network = made.discriminators["main"]
    on_critic, on_translator = turns(made, data, LeastSquares())
    assert set(on_critic) == {"d/realism"}
    assert set(on_translator) == {"g/realism", "g/features"}
    a, b = data.condition, data.real
    fake = made.generators["main"](a)
    by_hand = torch.zeros(())
    for scale, resize in zip(network.scales, (lambda x: x, half_size), strict=True):
        of_real, of_fake = (torch.cat([resize(x), resize(a)], 1) for x in (b, fake))
        for layer in scale.layers:
            of_real, of_fake = layer(of_real), layer(of_fake)
            if isinstance(layer, nn.LeakyReLU):
                by_hand = by_hand + (of_real - of_fake).abs().mean() / 2
    torch.testing.assert_close(on_translator["g/features"], 3 * by_hand)


def test_who_is_trained_by_what() -> None:
    made, data = model(reconstruction_weight=2.0), pairs()
    on_critic, on_translator = turns(made, data, LeastSquares())
    assert set(on_translator) == {"g/realism", "g/features", "g/reconstruction"}
    assert all(reaches(term, made.generators) for term in on_translator.values())
    assert not any(g.any() for g in gradients(total_loss(on_critic), made.generators).values())
    distance = (made.generators["main"](data.condition) - data.real).abs().mean()
    torch.testing.assert_close(on_translator["g/reconstruction"], 2 * distance)


def test_a_discriminator_that_shows_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a discriminator that shows them"):
        feature_distance(output(), output())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=pix2pixhd needs data of two domains of images"),
        ({"feature_weight": -1.0}, "feature_weight must be >= 0, got -1.0"),
    ],
)
def test_impossible_models(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


# ------------------------------------------------------------------ networks


def test_a_patch_critic_shows_all_layers_on_request() -> None:
    x = torch.randn(2, 3, 16, 16)
    network = PatchGAN([3, 16, 16], layers=2, width=4)
    (last,) = network(x).features
    network.all_features = True
    features = network(x).features
    assert [f.shape[1:] for f in features] == [(4, 8, 8), (8, 4, 4), (16, 3, 3)]
    assert torch.equal(features[-1], last)
    torch.testing.assert_close(network.score(last), network(x).score)


def test_the_coarse_generator_sees_the_half_and_reaches_the_output() -> None:
    network = CoarseToFineTranslator([3, 16, 16], [1, 16, 16], 4, 1, 1, kernel=3)
    x = torch.randn(2, 3, 16, 16)
    y = network(x)
    assert y.shape == (2, 1, 16, 16)
    assert y.abs().max() <= 1
    torch.testing.assert_close(y, network.up(network.down(x) + network.coarse(half_size(x))))
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.coarse(half_size(x)).shape == (2, 8, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_shape": [3, 12, 16]}, "generator=coarse_to_fine maps images to images of the same"),
        ({"in_shape": [3, 8, 8], "out_shape": [3, 8, 8]}, "needs at least 16 pixels"),
        ({"local_blocks": 0}, "local_blocks must be >= 1, got 0"),
    ],
)
def test_impossible_generators(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CoarseToFineTranslator(**{"in_shape": SHAPE, "out_shape": SHAPE, "width": 4} | options)


def test_a_run_translates_a_folder(trained, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    Image.effect_noise((21, 18), 90).convert("RGB").save(source / "one.png")
    small = ("generator.width=4", "generator.blocks=1", "discriminator.width=4")
    run = trained("model=pix2pixhd", *small, "data.batch_size=2")
    invoke("translate", run, source, tmp_path / "out", "--full-size")
    assert Image.open(tmp_path / "out" / "one.png").size == (21, 18)
