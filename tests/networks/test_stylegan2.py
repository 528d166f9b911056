"""StyleGAN2's layers and networks: against explicit weights, closed forms and the authors' parameter counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import MappedGenerator
from gan_zoo.networks.layers.equalized import (
    EqualizedConv,
    EqualizedLinear,
    rms_normalize,
    scaled_leaky_relu,
)
from gan_zoo.networks.layers.modulated import ModulatedConv
from gan_zoo.networks.layers.resample import Blur, Resample
from gan_zoo.networks.stylegan2 import (
    DownBlock,
    Mapping,
    StyledLayer,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    stage_widths,
)

SHAPE = [3, 16, 16]


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


def generator(**options: object) -> StyleGAN2Generator:
    return StyleGAN2Generator(
        8, SHAPE, **({"width": 4, "max_width": 8, "style_dim": 8, "mapping_layers": 2} | options)
    )


def discriminator(**options: object) -> StyleGAN2Discriminator:
    return StyleGAN2Discriminator(SHAPE, width=4, max_width=8, mapping_layers=2, **options)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# ---------------------------------------------------------------- equalized layers


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_equalized_linear_by_hand(multiplier: float) -> None:
    layer = EqualizedLinear(3, 2, multiplier, bias=1.0)
    x = torch.randn(4, 3)
    weight = layer.weight * multiplier / math.sqrt(3)
    torch.testing.assert_close(layer(x), x @ weight.T + 1.0)
    (gradient,) = torch.autograd.grad(layer(x).sum(), layer.bias)
    torch.testing.assert_close(gradient, torch.full((2,), 4 * multiplier))
    wide = EqualizedLinear(400, 300, multiplier)
    assert wide.weight.std().item() == pytest.approx(1 / multiplier, rel=0.01)
    assert wide(torch.randn(100, 400)).std().item() == pytest.approx(1, rel=0.05)


def test_equalized_conv_by_hand() -> None:
    layer = EqualizedConv(3, 5, 3)
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight / math.sqrt(27), padding=1))
    assert EqualizedConv(3, 5, 3, stride=2)(x[:, :, :5, :5]).shape == (2, 5, 2, 2)


def test_normalization_and_activation() -> None:
    x = torch.tensor([[3.0, 4.0], [0.3, -0.4]])
    torch.testing.assert_close(rms_normalize(x), x / torch.tensor([[5.0], [0.5]]) * math.sqrt(2))
    expected = torch.tensor([math.sqrt(2), -0.2 * math.sqrt(2)])
    torch.testing.assert_close(scaled_leaky_relu(torch.tensor([1.0, -1.0])), expected)


# ------------------------------------------------------------------- the filter


def filtered(x: Tensor) -> Tensor:
    """One channel ``[H, W]`` correlated with [1, 3, 3, 1] / 8 in both directions, by loops."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    height, width = x.shape[0] - 3, x.shape[1] - 3
    y = torch.zeros(height, width)
    for i in range(height):
        for j in range(width):
            y[i, j] = (x[i : i + 4, j : j + 4] * torch.outer(row, row)).sum()
    return y


def test_upsampling_is_zero_insertion_and_the_filter() -> None:
    x = torch.randn(2, 2, 4, 4)
    spread = torch.zeros(2, 2, 8, 8)
    spread[:, :, ::2, ::2] = x
    padded = F.pad(spread, (2, 1, 2, 1))
    expected = torch.stack([torch.stack([4 * filtered(c) for c in image]) for image in padded])
    torch.testing.assert_close(Resample(up=True)(x), expected)
    inner = Resample(up=True)(torch.ones(1, 1, 6, 6))[..., 2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.ones_like(inner))


def test_downsampling_is_the_filter_and_every_second_place() -> None:
    x = torch.randn(2, 2, 6, 6)
    padded = F.pad(x, (1, 1, 1, 1))
    expected = torch.stack(
        [torch.stack([filtered(c)[::2, ::2] for c in image]) for image in padded]
    )
    torch.testing.assert_close(Resample(up=False)(x), expected)


def test_blur_by_loops() -> None:
    x = torch.randn(1, 1, 5, 5)
    torch.testing.assert_close(
        Blur(padding=2, gain=3.0)(x)[0, 0], 3 * filtered(F.pad(x[0, 0], (2, 2, 2, 2)))
    )


# ------------------------------------------------------------ modulated convolution


def per_sample(layer: ModulatedConv, x: Tensor, style: Tensor) -> Tensor:
    """Each sample convolved with weights of its own (Karras et al. 2020, eq. 1 and 3)."""
    rows = []
    for image, scales in zip(x, layer.affine(style), strict=True):
        weight = layer.weight * scales[None, :, None, None]
        if layer.demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        else:
            weight = weight / math.sqrt(weight[0].numel())
        if layer.blur is None:
            rows.append(F.conv2d(image[None], weight, padding=weight.shape[2] // 2))
        else:
            larger = F.conv_transpose2d(image[None], weight.transpose(0, 1), stride=2)
            rows.append(layer.blur(larger))
    return torch.cat(rows)


@pytest.mark.parametrize(
    ("kernel", "demodulate", "up"), [(3, True, False), (3, True, True), (1, False, False)]
)
def test_modulated_convolution_has_weights_for_each_sample(
    kernel: int, demodulate: bool, up: bool
) -> None:
    layer = ModulatedConv(3, 4, kernel, style_dim=5, demodulate=demodulate, up=up).double()
    x = torch.randn(3, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    style = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    y, expected = layer(x, style), per_sample(layer, x, style)
    torch.testing.assert_close(y, expected)
    assert y.shape == (3, 4, 8, 8) if up else y.shape == (3, 4, 4, 4)
    inputs = [x, style, *layer.parameters()]
    weights = torch.randn_like(y)
    ours = torch.autograd.grad((y * weights).sum(), inputs)
    theirs = torch.autograd.grad((expected * weights).sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_modulated_convolution_can_be_differentiated_twice() -> None:
    layer = ModulatedConv(2, 2, 3, style_dim=2, up=True).double()
    x = torch.randn(2, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    style = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (x, style))


def test_demodulated_outputs_of_noise_have_variance_one() -> None:
    layer = ModulatedConv(16, 8, 3, style_dim=4)
    y = layer(torch.randn(16, 16, 32, 32), 3 * torch.randn(16, 4))[:, :, 2:-2, 2:-2]
    assert y.var((0, 2, 3)).tolist() == pytest.approx([1.0] * 8, abs=0.1)


# --------------------------------------------------------------------- generator


def test_styled_layer_by_hand() -> None:
    layer = StyledLayer(2, 3, style_dim=4, side=4, up=False).eval()
    x, style = torch.randn(2, 2, 4, 4), torch.randn(2, 4)
    nn.init.constant_(layer.strength, 0.7)
    nn.init.normal_(layer.bias)
    expected = layer.conv(x, style) + 0.7 * layer.noise + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x, style), F.leaky_relu(expected, 0.2) * math.sqrt(2))


def test_noise_is_new_in_training_and_constant_in_evaluation() -> None:
    layer = StyledLayer(2, 3, style_dim=4, side=4, up=False)
    x, style = torch.randn(2, 2, 4, 4), torch.randn(2, 4)
    assert torch.equal(layer(x, style), layer(x, style)), "the strength starts at 0"
    nn.init.ones_(layer.strength)
    assert not torch.equal(layer(x, style), layer(x, style))
    layer.eval()
    assert torch.equal(layer(x, style), layer(x, style))
    assert "noise" in dict(layer.named_buffers())


def test_images_are_the_sum_of_upsampled_images_of_all_sizes() -> None:
    network = generator().eval()
    styles = torch.randn(2, network.num_styles, 8)
    synthesis = network.synthesis_network
    assert network.num_styles == 6
    x = synthesis.constant.expand(2, -1, -1, -1)
    x = synthesis.layers[0](x, styles[:, 0])
    image = synthesis.images[0](x, styles[:, 1])
    x = synthesis.layers[2](synthesis.layers[1](x, styles[:, 1]), styles[:, 2])
    image = Resample(up=True)(image) + synthesis.images[1](x, styles[:, 3])
    x = synthesis.layers[4](synthesis.layers[3](x, styles[:, 3]), styles[:, 4])
    image = Resample(up=True)(image) + synthesis.images[2](x, styles[:, 5])
    torch.testing.assert_close(network.synthesis(styles), image)


def test_it_is_a_mapped_generator() -> None:
    network = generator().eval()
    assert isinstance(network, MappedGenerator)
    latents = torch.randn(3, 8)
    styles = network.mapping(latents)
    assert styles.shape == (3, 6, 8)
    assert torch.equal(styles, styles[:, :1].expand_as(styles))
    assert torch.equal(network(latents), network.synthesis(styles))
    torch.testing.assert_close(network.mapping(5 * latents), styles)  # latents are normalized


def test_mapping_of_latents_and_condition_by_hand() -> None:
    mapping = Mapping(latent_dim=2, condition_dim=3, style_dim=4, layers=1)
    latents, condition = torch.randn(2, 2), torch.randn(2, 3)
    embedded = condition @ mapping.embed.weight.T / math.sqrt(3)
    x = torch.cat([rms_normalize(latents), rms_normalize(embedded)], 1)
    expected = x @ (mapping.layers[0].weight * 0.01).T / math.sqrt(6)
    torch.testing.assert_close(
        mapping(latents, condition), F.leaky_relu(expected, 0.2) * math.sqrt(2)
    )


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_the_mean_style_follows_the_first_latents_alone(mixing: float) -> None:
    network = generator(mixing=mixing, mean_decay=0.75)
    latents = torch.randn(5, 8)
    mean = network.mapping(latents)[:, 0].mean(0)
    network(latents)
    torch.testing.assert_close(network.mean_style, 0.25 * mean)
    network(latents)
    torch.testing.assert_close(network.mean_style, 0.4375 * mean)
    network.eval()(latents)
    torch.testing.assert_close(network.mean_style, 0.4375 * mean)
    assert [name for name, _ in network.named_buffers() if name.endswith("running_mean")] == [
        "running_mean"
    ]


def test_styles_are_mixed_in_training_alone() -> None:
    network = generator(mixing=1.0)
    latents = torch.randn(4, 8)
    seen = []
    network.synthesis_network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    own = network.mapping(latents)
    firsts = set()
    for _ in range(40):
        network(latents)
        same = (seen[-1] == own).all(2)
        assert torch.equal(same, same[:1].expand_as(same)), "one place for the batch"
        first = int(same[0].sum())
        assert same[0, :first].all()
        assert not same[0, first:].any()
        firsts.add(first)
    assert firsts == {1, 2, 3, 4, 5}
    network.eval()
    network(latents)
    torch.testing.assert_close(seen[-1], own)


def test_mixing_has_its_probability() -> None:
    network = generator()
    latents = torch.randn(1, 8)
    own = network.mapping(latents)
    mixed = [not torch.equal(network.mix_styles(own, latents, None), own) for _ in range(1000)]
    assert sum(mixed) == pytest.approx(900, abs=40)


def test_the_same_seed_gives_the_same_image() -> None:
    network = generator().eval()
    for layer in network.synthesis_network.layers:
        nn.init.ones_(layer.strength)
    latents = torch.randn(2, 8)
    first = network(latents)
    torch.randn(3)
    assert torch.equal(network(latents), first)


def test_statistics_at_the_start() -> None:
    network = StyleGAN2Generator(
        64, [3, 32, 32], width=16, max_width=64, style_dim=64, mapping_layers=2
    ).eval()
    latents = torch.randn(64, 64)
    assert network.mapping(latents).square().mean().item() == pytest.approx(1, rel=0.4)
    assert 0.5 < float(network(latents).detach().std()) < 3
    scorer = StyleGAN2Discriminator([3, 32, 32], width=16, max_width=64)
    assert (
        0.02
        < float(scorer(torch.randn(64, 3, 32, 32).clamp(-1, 1)).score.detach().abs().mean())
        < 3
    )


# ----------------------------------------------------------------- discriminator


def test_down_block_by_hand() -> None:
    block = DownBlock(2, 3)
    x = torch.randn(2, 2, 8, 8)
    y = scaled_leaky_relu(F.conv2d(x, block.first.weight / math.sqrt(18), padding=1))
    y = F.conv2d(Blur(padding=2)(y), block.second.weight / math.sqrt(18), stride=2)
    skip = F.conv2d(Resample(up=False)(x), block.skip.weight / math.sqrt(2))
    torch.testing.assert_close(block(x), (scaled_leaky_relu(y) + skip) / math.sqrt(2))


def test_scores_features_and_outputs() -> None:
    scorer = discriminator(aux_outputs=5)
    x = torch.randn(8, *SHAPE)
    output = scorer(x)
    assert output.score.shape == (8,)
    assert output.aux.shape == (8, 5)
    assert output.features[0].shape == (8, 8, 4, 4)
    assert output.x is x
    first = scorer(x[:4].repeat(2, 1, 1, 1)).score
    torch.testing.assert_close(first[:4], first[4:])


def test_projection_on_a_mapping_of_the_condition() -> None:
    scorer = discriminator(condition_dim=3)
    x, condition = torch.randn(4, *SHAPE), torch.randn(4, 3)
    h = scorer(x, condition).features[0]
    outputs = scorer.score(scaled_leaky_relu(scorer.dense(h.flatten(1))))
    expected = (outputs * scorer.mapping(None, condition)).sum(1) / math.sqrt(8)
    torch.testing.assert_close(scorer(x, condition).score, expected)
    with pytest.raises(ValueError, match=r"needs model.fusion=projection, got 'concat'"):
        discriminator(condition_dim=3, fusion="concat")


def test_the_condition_reaches_the_generator() -> None:
    network = generator(condition_dim=3).eval()
    latents = torch.randn(1, 8).expand(2, -1)
    first, second = network(latents, torch.eye(3)[:2])
    assert not torch.allclose(first, second)


def test_both_can_be_differentiated_twice() -> None:
    network, scorer = generator(), discriminator()
    styles = network.mapping(torch.randn(4, 8))
    (gradient,) = torch.autograd.grad(
        network.synthesis(styles).square().sum(), styles, create_graph=True
    )
    gradient.square().sum().backward()
    unused = {"mapping_network", "bias", "strength"}
    assert all(
        p.grad is not None
        for name, p in network.named_parameters()
        if not unused & set(name.split("."))
    )
    x = torch.randn(4, *SHAPE, requires_grad=True)
    (gradient,) = torch.autograd.grad(scorer(x).score.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert all(
        p.grad.abs().sum() > 0 for name, p in scorer.named_parameters() if name.endswith("weight")
    )


# --------------------------------------------------------------- parameters


def test_widths() -> None:
    assert stage_widths(1024, 32, 512) == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert stage_widths(32, 64, 256) == [256, 256, 128, 64]


@pytest.mark.parametrize(
    ("mapping_layers", "total"), [(2, 28_794_124), (8, 28_794_124 + 6 * (512 * 512 + 512))]
)
def test_the_papers_networks_have_as_many_parameters(mapping_layers: int, total: int) -> None:
    """The counts that the authors' program prints at 1024 pixels with two mapping layers (stylegan2-ada-pytorch)."""
    shape = [3, 1024, 1024]
    with torch.device("meta"):
        made = StyleGAN2Generator(512, shape, width=32, mapping_layers=mapping_layers)
        scorer = StyleGAN2Discriminator(shape, width=32)
    assert parameters(made) == total
    assert parameters(scorer) == 29_012_513
    layers, images = made.synthesis_network.layers, made.synthesis_network.images
    assert [parameters(layer) for layer in layers[8:12]] == [2_622_465, 1_442_561, 721_409, 426_369]
    assert [parameters(image) for image in images] == [264_195] * 5 + [
        132_099,
        66_051,
        33_027,
        16_515,
    ]


def test_a_layer_has_as_many_parameters_as_its_parts() -> None:
    """Weights, style affine with bias, noise strength, bias."""
    layer = StyledLayer(6, 5, style_dim=7, side=8, up=True)
    assert parameters(layer) == 6 * 5 * 9 + (7 * 6 + 6) + 1 + 5


@pytest.mark.parametrize("shape", [[3, 12, 12], [3, 4, 4], [2]])
def test_other_shapes_are_refused(shape: list[int]) -> None:
    with pytest.raises(ValueError, match="generator=stylegan2 works on"):
        StyleGAN2Generator(8, shape)
    with pytest.raises(ValueError, match="discriminator=stylegan2 works on"):
        StyleGAN2Discriminator(shape)
