"""Networks from images to images, and the discriminator of their patches."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import DiscriminatorOutput, SampleRequest
from gan_zoo.models.translation.cyclegan import CycleGAN
from gan_zoo.models.translation.pix2pix import Pix2Pix
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.image_to_image import (
    ResNetTranslator,
    TranslatorBlock,
    UNetTranslator,
    upsample_layers,
)


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


def layers_of(network: nn.Module, *kinds: type[nn.Module]) -> list:
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


# ------------------------------------------------------------------ translators


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize(
    ("make", "sides"),
    [(ResNetTranslator, (16, 24)), (ResNetTranslator, (8, 8)), (UNetTranslator, (16, 16))],
)
def test_translators_keep_the_size(make, sides: tuple[int, int], upsample: str) -> None:
    options = {"blocks": 2} if make is ResNetTranslator else {}
    network = make([3, *sides], [1, *sides], width=4, upsample=upsample, **options)
    y = network(torch.randn(2, 3, *sides))
    assert y.shape == (2, 1, *sides)
    assert y.abs().max() <= 1
    assert len(layers_of(network, TranslatorBlock)) == options.get("blocks", 0)
    doublings = 2 if make is ResNetTranslator else 3
    assert len(layers_of(network, nn.ConvTranspose2d)) == (
        doublings if upsample == "transposed" else 0
    )
    assert len(layers_of(network, nn.Upsample)) == (0 if upsample == "transposed" else doublings)


@pytest.mark.parametrize("kernel", [3, 4])
def test_resizing_leaves_no_checkerboard_and_transposed_convolutions_do(kernel: int) -> None:
    flat = torch.ones(1, 3, 8, 8)
    resized, transposed = (
        nn.Sequential(*upsample_layers(3, 2, name, kernel)) for name in ("resize", "transposed")
    )
    for layer in (resized, transposed):
        assert layer(flat).shape == (1, 2, 16, 16)
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    assert resized(flat).std((2, 3)).max() < 1e-6
    assert transposed(flat)[inside].std((2, 3)).min() > 1e-3


def test_the_papers_translator() -> None:
    network = ResNetTranslator([3, 128, 128], [3, 128, 128], kernel=7)
    convolutions = layers_of(network, nn.Conv2d, nn.ConvTranspose2d)
    assert [c.out_channels for c in convolutions] == [64, 128, 256, *[256] * 12, 128, 64, 3]
    assert [c.kernel_size[0] for c in convolutions] == [7, *[3] * 16, 7]
    norms = layers_of(network, nn.GroupNorm)
    assert len(norms) == 17
    assert all(norm.num_groups == norm.num_channels for norm in norms), "instance normalization"
    assert all(c.padding_mode == "reflect" for c in convolutions if c.stride == (1, 1))
    weights = torch.cat([c.weight.flatten() for c in convolutions])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)


def test_a_translators_block_adds_to_its_input() -> None:
    block, x = TranslatorBlock(4, "none"), torch.randn(2, 4, 5, 5)
    nn.init.zeros_(block.layers[3].weight)
    nn.init.zeros_(block.layers[3].bias)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("size", "depth", "sizes"), [(16, None, [8, 4, 2]), (32, None, [16, 8, 4, 2]), (16, 2, [8, 4])]
)
def test_the_u_goes_down_to_2x2_or_as_deep_as_told(
    size: int, depth: int | None, sizes: list[int]
) -> None:
    network, seen = UNetTranslator([3, size, size], [1, size, size], width=4, depth=depth), []
    for layer in layers_of(network, nn.Conv2d):
        layer.register_forward_hook(lambda _, inputs, y: seen.append((y.shape[1], y.shape[-1])))
    assert network(torch.randn(2, 3, size, size)).shape == (2, 1, size, size)
    assert seen == [(min(4 * 2**k, 32), side) for k, side in enumerate(sizes)]
    # Every level but the innermost concatenates its input to its output: twice the channels.
    ups = [layer.in_channels for layer in layers_of(network, nn.ConvTranspose2d)]
    assert sorted(ups) == sorted(
        [min(4 * 2 ** (len(sizes) - 1), 32), *(2 * channels for channels, _ in seen[:-1])]
    )


def test_the_skip_connections_of_the_u() -> None:
    """With everything below the first level silenced, the output still knows the input: through the first skip."""
    network = UNetTranslator([1, 16, 16], [1, 16, 16], width=4, norm="none").eval()
    below = network.layers[1]
    nn.init.zeros_(below.up[1].weight)
    x, y = torch.randn(2, 1, 1, 16, 16)
    assert not torch.allclose(network(x), network(y))
    torch.testing.assert_close(below(network.layers[0](x))[:, :4], network.layers[0](x))


def test_the_us_dropout_is_its_only_noise() -> None:
    deep, shallow = (UNetTranslator([1, s, s], [1, s, s], width=2) for s in (64, 16))
    assert [layer.p for layer in layers_of(deep, nn.Dropout)] == [0.5] * 3
    assert len(layers_of(shallow, nn.Dropout)) == 1
    network, x = UNetTranslator([1, 32, 32], [1, 32, 32], width=2), torch.randn(2, 1, 32, 32)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_the_u_has_no_normalization_at_its_ends_and_its_bottom() -> None:
    network = UNetTranslator([1, 32, 32], [1, 32, 32], width=4)
    norms = [norm.num_features for norm in layers_of(network, nn.BatchNorm2d)]
    assert sorted(norms) == sorted([8, 16, 4, 8, 16]), (
        "down: neither the first nor the last; up: all but the last"
    )


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_stages_of_a_translator_are_the_image_halvings_and_blocks(halvings: int) -> None:
    network = ResNetTranslator([3, 16, 16], [1, 16, 16], 4, blocks=2, halvings=halvings)
    x = torch.randn(2, 3, 16, 16)
    assert network(x).shape == (2, 1, 16, 16)

    # The image, a size for each halving, and two blocks at the last size.
    stages = list(range(len(network.stage_widths)))
    sizes = [16, *(16 // 2**k for k in range(1, halvings + 1))]
    sizes += [sizes[-1]] * 2
    activations = network.activations(x, stages)
    assert [a.shape[-1] for a in activations] == sizes
    assert [a.shape[1] for a in activations] == network.stage_widths
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    blocks = [layer for layer in network.layers if isinstance(layer, TranslatorBlock)]
    layers = list(network.layers)
    of_halving = network.layers[: layers.index(convolutions[halvings]) + 1]
    assert torch.equal(activations[halvings], of_halving(x))
    of_block = network.layers[: layers.index(blocks[1]) + 1]
    assert torch.equal(activations[-1], of_block(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ResNetTranslator([2], [2]),
            r"generator=resnet_translator maps images .* got \[2\] to \[2\]",
        ),
        (
            lambda: ResNetTranslator([3, 16, 16], [3, 24, 24]),
            r"of the same size, got \[3, 16, 16\] to \[3, 24, 24\]",
        ),
        (
            lambda: ResNetTranslator([3, 18, 16], [3, 18, 16]),
            r"sides divisible by 4, got \[18, 16\]: set data.image",
        ),
        (
            lambda: ResNetTranslator([3, 4, 8], [3, 4, 8]),
            r"needs at least 8 pixels, got \[4, 8\]: set data.image_size",
        ),
        (
            lambda: ResNetTranslator([3, 16, 16], [3, 16, 16], blocks=0),
            "blocks must be >= 1, got 0",
        ),
        (
            lambda: ResNetTranslator([3, 16, 16], [3, 16, 16], kernel=4),
            "kernel must be odd, .*, got 4",
        ),
        (
            lambda: ResNetTranslator([3, 16, 16], [3, 16, 16], norm="spectral"),
            "norm must be one of .*, got 'spectral'",
        ),
        (
            lambda: ResNetTranslator([3, 16, 16], [3, 16, 16], upsample="bicubic"),
            "transposed, resize, got 'bicubic'",
        ),
        (
            lambda: UNetTranslator([3, 20, 20], [3, 20, 20]),
            r"generator=unet needs sides divisible by 8, got",
        ),
        (
            lambda: UNetTranslator([3, 16, 16], [3, 16, 16], depth=5),
            "generator=unet needs sides divisible by 32",
        ),
        (
            lambda: UNetTranslator([3, 16, 16], [3, 16, 16], depth=0),
            "depth must be >= 1 or null, got 0",
        ),
        (
            lambda: UNetTranslator([3, 16, 16], [3, 16, 16], depth=-1),
            "depth must be >= 1 or null, got -1",
        ),
        (
            lambda: UNetTranslator([3, 16, 16], [3, 16, 16], norm="spectral"),
            "norm must be one of .*, got 'spectral'",
        ),
        (
            lambda: UNetTranslator([3, 16, 16], [3, 16, 16], upsample="no"),
            "upsample must be one of .*, got 'no'",
        ),
    ],
)
def test_impossible_translators_say_what_is_possible(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------ patches


@pytest.mark.parametrize(("layers", "field", "size"), [(3, 70, 128), (2, 34, 64), (1, 16, 32)])
def test_a_score_sees_a_patch_of_the_papers_size(layers: int, field: int, size: int) -> None:
    """Measured: where the gradient of a score in the middle is not zero."""
    discriminator, x = (
        PatchGAN([1, size, size], layers=layers, width=2, norm="none"),
        torch.randn(1, 1, size, size),
    )
    score = discriminator(x.requires_grad_()).score
    assert score.shape == (1, 1, size // 2**layers - 2, size // 2**layers - 2)
    middle = score.shape[-1] // 2
    (gradient,) = torch.autograd.grad(score[0, 0, middle, middle], x)
    rows, columns = (gradient[0, 0].abs().amax(axis).nonzero().flatten() for axis in (1, 0))
    assert len(rows) == len(columns) == rows[-1] - rows[0] + 1 == field


def test_the_papers_patch_critic() -> None:
    discriminator = PatchGAN([3, 256, 256])
    assert [c.out_channels for c in layers_of(discriminator, nn.Conv2d)] == [64, 128, 256, 512, 1]
    assert [c.stride[0] for c in layers_of(discriminator, nn.Conv2d)] == [2, 2, 2, 1, 1]
    assert isinstance(discriminator.layers[1], nn.LeakyReLU), "no normalization at the input"
    assert len(layers_of(discriminator, nn.GroupNorm)) == 3
    assert all(layer.negative_slope == 0.2 for layer in layers_of(discriminator, nn.LeakyReLU))
    with torch.no_grad():
        assert discriminator(torch.zeros(1, 3, 256, 256)).score.shape == (1, 1, 30, 30)


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "spectral", "none"])
def test_a_condition_is_a_image_beside_the_sample(norm: str) -> None:
    discriminator = PatchGAN([1, 16, 16], condition_channels=3, layers=1, width=4, norm=norm).eval()
    x, a = torch.randn(2, 1, 16, 16), torch.randn(2, 3, 16, 16)
    output = discriminator(x, a)
    assert isinstance(output, DiscriminatorOutput)
    torch.testing.assert_close(
        output.score, discriminator.score(discriminator.layers(torch.cat([x, a], 1)))
    )
    assert discriminator.layers[0].in_channels == 4
    assert output.x is x
    assert not torch.allclose(discriminator(x, a.flip(0)).score, output.score)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PatchGAN([2]),
            r"discriminator=patchgan works on images; the data's sample_shape is \[2\]",
        ),
        (lambda: PatchGAN([1, 16, 16]), "images of 16 pixels allow 2, got 3"),
        (lambda: PatchGAN([1, 64, 8], layers=2), "images of 8 pixels allow 1, got 2"),
        (lambda: PatchGAN([1, 16, 16], layers=0), "discriminator.layers must be >= 1 .*, got 0"),
    ],
)
def test_impossible_patch_critics_say_what_is_possible(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------ test time as in the paper


def unet(**options) -> UNetTranslator:
    torch.manual_seed(0)
    return UNetTranslator([1, 16, 16], [1, 16, 16], width=4, **options)


X = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_by_default_a_translation_depends_on_its_input_alone() -> None:
    network = unet()
    network(X)
    network.eval()
    torch.testing.assert_close(network(X)[:1], network(X[:1]))


def test_test_time_as_in_the_paper_is_as_training() -> None:
    """Section 3.3: dropout on, batch norm by the statistics of the test batch. With one seed both modes agree."""
    network = unet(paper_test_time=True)
    outputs = []
    for training in (True, False):
        network.train(training)
        torch.manual_seed(1)
        outputs.append(network(X))
    torch.testing.assert_close(*outputs)
    assert not torch.allclose(network(X), network(X)), "dropout draws"
    assert not list(network.buffers()), "no running statistics that would go unused"
    without = unet(paper_test_time=True, dropout=0.0).eval()
    torch.testing.assert_close(without(X), without(X))
    assert not torch.allclose(without(X)[:1], without(X[:1])), "the batch's own statistics"


def test_training_is_the_same_with_either_test_time() -> None:
    outputs = []
    for paper in (False, True):
        network = unet(paper_test_time=paper)
        torch.manual_seed(1)
        outputs.append(network(X))
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("make", [Pix2Pix, CycleGAN])
def test_samples_of_a_generator_that_draws_depend_on_their_number_alone(make) -> None:
    """The state of other random generators is unchanged."""
    shapes = {"a_shape": [1, 16, 16], "b_shape": [1, 16, 16]}
    translator = partial(UNetTranslator, width=4, paper_test_time=True)
    terms = [nn.Identity()] if make is Pix2Pix else [nn.Identity(), nn.Identity()]
    model = make(translator, lambda **_: nn.Identity(), *terms, **shapes).eval()
    request = SampleRequest(3, StepRNG(0, 5), condition=X, target=X)
    torch.manual_seed(7)
    first = model.visuals(request, model.generators)
    after = torch.rand(1)
    again = model.visuals(request, model.generators)
    other = model.visuals(SampleRequest(3, StepRNG(0, 6), condition=X), model.generators)
    torch.testing.assert_close(first, again)
    assert not torch.allclose(first["sample"], other["sample"])
    torch.manual_seed(7)
    assert torch.equal(torch.rand(1), after)
