"""Vision transformers: layers by hand, positions, attention that is differentiated twice, levels, styles."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import MappedGenerator
from gan_zoo.networks.layers import transformer
from gan_zoo.networks.layers.transformer import (
    Attention,
    ModulatedBlock,
    RMSNorm,
    ScaledBlock,
    SwiGLU,
    attend,
    axial_rotation,
    rotate,
    sincos_positions,
    written_out,
)
from gan_zoo.networks.vit import ViTDiscriminator, ViTGenerator, from_patches, to_patches
from gan_zoo.regularizers.base import input_gradient

SHAPE = [3, 8, 8]


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


def generator(**options: object) -> ViTGenerator:
    return ViTGenerator(6, SHAPE, **({"width": 8, "depth": 4, "heads": 2} | options))


def discriminator(**options: object) -> ViTDiscriminator:
    return ViTDiscriminator(SHAPE, **({"width": 8, "depth": 2, "heads": 2} | options))


# ---------------------------------------------------------------------------- layers


def test_rms_norm_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0], [-0.6, 0.8]])
    expected = x / torch.tensor([[5.0], [1.0]]) * math.sqrt(2)
    layer = RMSNorm(2)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
    nn.init.constant_(layer.gain, 3.0)
    torch.testing.assert_close(layer(x), 3 * expected, atol=1e-5, rtol=1e-5)
    assert not list(RMSNorm(2, affine=False).parameters())


def test_swiglu_by_hand() -> None:
    layer = SwiGLU(6)
    assert layer.leave.in_features == 16, "2/3 of 4 times the width"
    x = torch.randn(2, 6)
    gate, value = layer.enter(x)[:, :16], layer.enter(x)[:, 16:]
    torch.testing.assert_close(layer(x), layer.leave(gate * torch.sigmoid(gate) * value))


def test_attention_of_one_head_by_hand() -> None:
    layer = Attention(8, heads=1)
    nn.init.uniform_(layer.query_norm.gain)
    x, rotation = torch.randn(1, 4, 8), axial_rotation(2, 8)
    query, key, value = layer.enter(x)[0].chunk(3, 1)
    query = rotate(layer.query_norm(query), rotation)
    key = rotate(layer.key_norm(key), rotation)
    rows = []
    for i in range(4):
        weights = torch.stack([(query[i] @ key[j] / math.sqrt(8)).exp() for j in range(4)])
        rows.append((weights[:, None] * value).sum(0) / weights.sum())
    torch.testing.assert_close(layer(x, rotation)[0], layer.leave(torch.stack(rows)))


def test_heads_attend_separately() -> None:
    """Values of one head do not reach the channels of another."""
    layer = Attention(8, heads=2)
    nn.init.eye_(layer.leave.weight)
    x, rotation = torch.randn(1, 4, 8), axial_rotation(2, 4)
    before = layer(x, rotation)
    with torch.no_grad():
        layer.enter.weight[16:20] += 1  # the values of the first head
    changed = (layer(x, rotation) - before).abs().sum((0, 1)) > 1e-6
    assert changed.tolist() == [True] * 4 + [False] * 4


def test_normalized_queries_and_keys_bound_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        seen.append(query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]))
        return value

    monkeypatch.setattr(transformer, "attend", spy)
    layer = Attention(16, heads=2)
    layer(1000 * torch.randn(3, 9, 16), axial_rotation(3, 8))
    assert seen[0].shape == (3, 2, 9, 9)
    assert 0.5 * math.sqrt(8) < seen[0].abs().max() <= math.sqrt(8) + 1e-4


def test_a_modulated_block_without_gates_is_the_identity() -> None:
    block, rotation = ModulatedBlock(8, heads=2, style_dim=5), axial_rotation(2, 4)
    x, style = torch.randn(3, 4, 8), torch.randn(3, 5)
    last = block.modulation[1]
    assert block(x, rotation, style).sub(x).abs().max() < 0.5, "small at the start"
    assert last.weight.abs().max() <= 0.1 * math.sqrt(6 / (5 + 32))
    nn.init.zeros_(last.weight)
    assert torch.equal(block(x, rotation, style), x)


def test_a_modulated_block_by_hand() -> None:
    block, rotation = ModulatedBlock(8, heads=2, style_dim=5), axial_rotation(2, 4)
    x, style = torch.randn(3, 4, 8), torch.randn(3, 5)
    numbers = block.modulation[1](style * torch.sigmoid(style))[:, None]
    scale, gate, mlp_scale, mlp_gate = numbers.split(8, 2)
    h = x + gate * block.attention(block.norm(x) * (1 + scale), rotation)
    expected = h + mlp_gate * block.mlp(block.norm(h) * (1 + mlp_scale))
    torch.testing.assert_close(block(x, rotation, style), expected)


def test_a_scaled_block_by_hand() -> None:
    block, rotation = ScaledBlock(8, heads=2), axial_rotation(2, 4)
    x = torch.randn(3, 4, 8)
    h = x + 0.1 * block.attention(block.attention_norm(x), rotation)
    torch.testing.assert_close(block(x, rotation), h + 0.1 * block.mlp(block.mlp_norm(h)))
    nn.init.zeros_(block.attention_scale)
    nn.init.zeros_(block.mlp_scale)
    assert torch.equal(block(x, rotation), x)


# ------------------------------------------------------------------------- positions


def test_rotated_products_depend_on_the_difference_of_positions_alone() -> None:
    side, size = 6, 8
    q, k = torch.randn(2, size, dtype=torch.float64)
    rotation = axial_rotation(side, size).double()
    queries = rotate(q.expand(side**2, -1), rotation).reshape(side, side, size)
    keys = rotate(k.expand(side**2, -1), rotation).reshape(side, side, size)

    def product(row: int, column: int, other_row: int, other_column: int) -> float:
        return float(queries[row, column] @ keys[other_row, other_column])

    for row, column in ((0, 1), (2, 0), (3, 3)):
        assert product(row, column, row + 2, column + 1) == pytest.approx(product(0, 0, 2, 1))
    assert product(0, 0, 0, 0) == pytest.approx(float(q @ k))
    assert product(0, 0, 1, 0) != pytest.approx(product(0, 0, 0, 1)), "rows are not columns"
    assert product(0, 0, 1, 0) != pytest.approx(product(1, 0, 0, 0)), "directions differ"
    torch.testing.assert_close(queries.norm(dim=2), q.norm().expand(side, side))


def test_a_token_without_a_place_is_not_rotated() -> None:
    rotation = axial_rotation(2, 8, unplaced=1)
    x = torch.randn(5, 8)
    rotated = rotate(x, rotation)
    assert torch.equal(rotated[:2], x[:2]), "nor is that of row 0 and column 0"
    torch.testing.assert_close(rotated[1:], rotate(x[1:], axial_rotation(2, 8)))
    assert not torch.equal(rotated[2], x[2])


def test_fixed_positions_by_hand() -> None:
    positions = sincos_positions(3, 8).reshape(3, 3, 8)
    angles = [2.0, 0.02, 1.0, 0.01]  # row 2, column 1, frequencies 1 and 1/100
    expected = [*map(math.sin, angles), *map(math.cos, angles)]
    assert positions[2, 1].tolist() == pytest.approx(expected, rel=1e-5)


def test_patches_are_cut_row_by_row() -> None:
    x = torch.randn(2, 3, 8, 8)
    patches = to_patches(x, 4)
    assert patches.shape == (2, 4, 48)
    torch.testing.assert_close(patches[:, 1], x[:, :, :4, 4:].flatten(1))
    assert torch.equal(from_patches(patches, 4), x)


# ------------------------------------------------------------------------- attention


def tokens() -> list[Tensor]:
    return [torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]


def test_attention_is_torchs() -> None:
    q, k, v = tokens()
    expected = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(attend(q, k, v), expected)
    torch.testing.assert_close(written_out(q, k, v), expected)
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v), expected)
    weights = torch.randn_like(expected)
    ours = torch.autograd.grad((attend(q, k, v) * weights).sum(), (q, k, v))
    theirs = torch.autograd.grad((expected * weights).sum(), (q, k, v))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_attention_can_be_differentiated_twice() -> None:
    assert torch.autograd.gradcheck(attend, tokens())
    assert torch.autograd.gradgradcheck(attend, tokens())
    q, k, v = tokens()
    assert torch.autograd.gradgradcheck(lambda v: attend(q.detach(), k.detach(), v), (v,))
    assert torch.autograd.gradgradcheck(lambda q: attend(q, q, q), (q,))


def test_a_backward_pass_can_be_repeated() -> None:
    q, k, v = tokens()
    y = attend(q, k, v).square().sum()
    first = torch.autograd.grad(y, q, retain_graph=True)[0]
    recorded = torch.autograd.grad(y, q, create_graph=True)[0]
    torch.testing.assert_close(first, recorded)
    torch.testing.assert_close(first, torch.autograd.grad(y, q)[0])


# ----------------------------------------------------------------------- the networks


@pytest.mark.parametrize(("size", "patch"), [(8, 2), (8, 8), (16, 4)])
@pytest.mark.parametrize("levels", [1, 4])
def test_images_of_every_size_train_every_parameter(size: int, patch: int, levels: int) -> None:
    network = ViTGenerator(6, [3, size, size], patch, 8, 4, 2, levels=levels, condition_dim=3)
    images = network(torch.randn(2, 6), torch.randn(2, 3), all_levels=True)
    assert images.shape == (2, 3 * levels, size, size)
    assert images.abs().max() < 1
    (images * torch.randn_like(images)).sum().backward()
    # A single token attends to itself alone, whatever its query and its key.
    single = ("query_norm.gain", "key_norm.gain") if size == patch else ()
    for name, p in network.named_parameters():
        assert p.grad is not None
        assert name.endswith(single) or p.grad.abs().sum() > 0, name


def test_levels_add_up_and_the_last_is_the_sample() -> None:
    network = generator(levels=2).eval()
    latents = torch.randn(3, 6)
    style = network.mapping(latents)[:, 0]
    x = network.positions.expand(3, -1, -1)
    for block in network.blocks[:2]:
        x = block(x, network.rotation, style)
    first = network.outputs[0](x, style)
    for block in network.blocks[2:]:
        x = block(x, network.rotation, style)
    second = first + network.outputs[1](x, style)
    expected = [from_patches(pixels, 4).tanh() for pixels in (first, second)]
    torch.testing.assert_close(network(latents, all_levels=True), torch.cat(expected, 1))
    torch.testing.assert_close(network(latents), expected[1])


def test_it_is_a_mapped_generator() -> None:
    network = generator(levels=4).eval()
    assert isinstance(network, MappedGenerator)
    latents = torch.randn(3, 6)
    styles = network.mapping(latents)
    assert styles.shape == (3, 4, 8)
    assert torch.equal(styles, styles[:, :1].expand_as(styles))
    assert torch.equal(network(latents), network.synthesis(styles))
    torch.testing.assert_close(network.mapping(5 * latents), styles)  # latents are normalized

    # A style acts from its block on.
    before = network.images(styles)
    for number in range(4):
        changed = styles.clone()
        changed[:, number] += 1
        moved = [
            not torch.equal(a, b) for a, b in zip(network.images(changed), before, strict=True)
        ]
        assert moved == [level >= number for level in range(4)]


def test_the_mean_style_follows_training() -> None:
    network = generator(mean_decay=0.75)
    latents = torch.randn(5, 6)
    mean = network.mapping(latents)[:, 0].mean(0)
    network(latents)
    torch.testing.assert_close(network.mean_style, 0.25 * mean)
    network.eval()(latents)
    torch.testing.assert_close(network.mean_style, 0.25 * mean)


def test_the_mapping_learns_slowly() -> None:
    layers = generator().mapping_network.layers
    assert [layer.lr_multiplier for layer in layers] == [0.01, 0.01]


def test_the_discriminator_works_with_conditions_and_further_outputs() -> None:
    network = discriminator(aux_outputs=5, condition_dim=3)
    x, condition = torch.randn(4, *SHAPE), torch.randn(4, 3)
    output = network(x, condition)
    assert output.score.shape == (4,)
    assert output.aux.shape == (4, 5)
    assert output.features[0].shape == (4, 8)
    (output.score.sum() + output.aux.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    (h,) = output.features
    expected = network.heads.score(h).flatten() + (network.heads.project(condition) * h).sum(1)
    torch.testing.assert_close(output.score, expected)
    assert not torch.equal(network(x.flip(3), condition).score, output.score), "places count"


def squared_slope(network: ViTDiscriminator, x: Tensor) -> Tensor:
    return input_gradient(network(x.clone().requires_grad_())).square().sum()


def test_gradients_of_r1_are_those_of_finite_differences() -> None:
    network, x = discriminator().double(), torch.randn(2, *SHAPE, dtype=torch.float64)
    squared_slope(network, x).backward()
    for weight in (network.class_token, network.blocks[0].attention.enter.weight):
        direction = torch.randn_like(weight)
        expected = (weight.grad * direction).sum()
        found = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight += step * direction
            found.append(squared_slope(network, x).detach())
            with torch.no_grad():
                weight -= step * direction
        torch.testing.assert_close((found[0] - found[1]) / 2e-5, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: generator(patch=3), "patch of generator=vit must divide the 8 pixels.*got 3"),
        (lambda: discriminator(patch=16), "patch of discriminator=vit must divide.*got 16"),
        (lambda: generator(width=12), "width must be a multiple of 4 heads = 8, got 12"),
        (lambda: generator(levels=3), "generator.depth must be a multiple of 3 levels, got 4"),
        (lambda: ViTGenerator(6, [2]), "use model=gan for vectors"),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("regularizer", ["r1", "path_length"])
def test_they_train_in_other_models_with_second_derivatives(regularizer: str, tiny) -> None:
    from gan_zoo.config.build import build

    small = [
        f"{side}.{n}" for side in ("generator", "discriminator") for n in ("width=8", "depth=1")
    ]
    heads = ["generator.heads=2", "discriminator.heads=2", "data=digits"]
    extra = [f"regularizer=[{regularizer}]", f"regularizer.{regularizer}.every=1"]
    networks = ["model=dcgan", "generator=vit", "discriminator=vit", "trainer.max_steps=1"]
    trainer, module, data = build(tiny(*networks, *small, *heads, *extra))
    trainer.fit(module, datamodule=data)
    assert module.clock.generator_steps == 1
    assert all(p.isfinite().all() for p in module.parameters())
