"""Heads, conditions, statistics of the batch, packs, attention, residual networks, R3GAN: by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, max_pool2d
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.networks.autoencoder import AutoEncoder
from gan_zoo.networks.condition_encoders import (
    BagOfWords,
    ClassCondition,
    ConditionalDiscriminator,
    ImageCondition,
    RecurrentText,
    VectorCondition,
)
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.networks.image_encoders import DCGANEncoder
from gan_zoo.networks.layers.attention import SelfAttention
from gan_zoo.networks.layers.conditional_norm import ConditionInput
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.minibatch_statistics import MinibatchStatistic
from gan_zoo.networks.mlp import MLPDiscriminator
from gan_zoo.networks.packing import PackedDiscriminator
from gan_zoo.networks.r3gan import (
    BiasedLeakyReLU,
    R3GANDiscriminator,
    R3GANGenerator,
    Resample,
    ResidualBlock,
    stage_widths,
)
from gan_zoo.networks.resnet import DownBlock, ResNetDiscriminator, ResNetGenerator, UpBlock


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


def layers_of(network: nn.Module, *kinds: type[nn.Module]) -> list:
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


# ------------------------------------------------------------------ heads

X = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize("shape", [[6], [6, 3, 2]])
def test_without_a_condition_the_score_is_linear(shape: list[int]) -> None:
    heads, h = Heads(shape, aux_outputs=4), torch.randn(2, *shape)
    output = heads(h, X)
    torch.testing.assert_close(
        output.score, h.flatten(1) @ heads.score.weight[0] + heads.score.bias
    )
    torch.testing.assert_close(output.aux, h.flatten(1) @ heads.aux.weight.T + heads.aux.bias)
    assert output.x is X
    assert output.features[0] is h
    assert Heads(shape)(h, X).aux is None


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_a_projected_condition_counts_from_the_start(norm: str) -> None:
    """Scores of one image under two classes differ about as much as those of two images do."""
    torch.manual_seed(0)
    network = DCGANDiscriminator([1, 16, 16], width=16, norm=norm, condition_dim=8)
    images, classes = torch.randn(64, 1, 16, 16).clamp(-1, 1), torch.eye(8)
    scores = torch.stack([network(images, c.expand(64, -1)).score for c in classes])
    over_classes = scores.std(0).mean()
    over_images = scores.std(1).mean()
    assert over_classes > 0.5 * over_images


def test_projection_by_hand() -> None:
    """w.h + (V c).p(h), p the sum over positions."""
    heads, h, c = Heads([2, 1, 2], condition_dim=3), torch.randn(2, 2, 1, 2), torch.randn(2, 3)
    w, v = heads.score.weight[0], heads.project.weight
    for i in range(2):
        pooled = torch.stack([h[i, k, 0, 0] + h[i, k, 0, 1] for k in range(2)])
        expected = w @ h[i].flatten() + heads.score.bias[0] + (v @ c[i]) @ pooled
        assert heads(h, X, c).score[i].item() == pytest.approx(expected.item(), rel=1e-5)
    assert heads.project.bias is None
    flat = Heads([2], condition_dim=3)
    expected = flat.score(h[:, :, 0, 0]).flatten() + (
        (c @ flat.project.weight.T) * h[:, :, 0, 0]
    ).sum(1)
    torch.testing.assert_close(flat(h[:, :, 0, 0], X, c).score, expected)


def test_concatenation_by_hand() -> None:
    """The condition is repeated at every position and mixed in by a 1x1 layer."""
    heads, h, c = (
        Heads([2, 2, 3], condition_dim=4, fusion="concat"),
        torch.randn(2, 2, 2, 3),
        torch.randn(2, 4),
    )
    mixed = torch.empty(2, 2, 2, 3)
    for i in range(2):
        for row in range(2):
            for column in range(3):
                mixed[i, :, row, column] = leaky_relu(
                    heads.mix(torch.cat([h[i, :, row, column], c[i]])), 0.2
                )
    torch.testing.assert_close(heads(h, X, c).score, heads.score(mixed.flatten(1)).flatten())
    assert heads(h, X, c).features[0] is h


@pytest.mark.parametrize("fusion", ["projection", "concat"])
def test_a_conditional_head_needs_the_condition(fusion: str) -> None:
    with pytest.raises(AssertionError, match="needs the condition"):
        Heads([3], condition_dim=2, fusion=fusion)(torch.randn(2, 3), X)


@pytest.mark.parametrize("fusion", ["projection", "concat"])
def test_spectral_normalization_is_of_the_score_alone(fusion: str) -> None:
    heads = Heads([3], aux_outputs=2, condition_dim=2, fusion=fusion, norm="spectral")
    assert is_parametrized(heads.score)
    assert is_parametrized(heads.project if fusion == "projection" else heads.mix)
    assert not is_parametrized(heads.aux)


# ------------------------------------------------------------------ conditions


def unit(vectors: Tensor) -> Tensor:
    """The vectors at length 1."""
    return vectors / vectors.norm(dim=-1, keepdim=True)


def test_a_bag_of_words_is_the_mean_of_its_words_and_ignores_padding_and_order() -> None:
    bag = BagOfWords(9, outputs=4)
    table, captions = (
        bag.words.weight,
        torch.tensor([[3, 5, 5, 0, 0], [5, 3, 5, 0, 0], [0, 5, 0, 5, 3]]),
    )
    vectors = bag(captions)
    torch.testing.assert_close(vectors[0], unit(bag.mix((table[3] + 2 * table[5]) / 3)))
    torch.testing.assert_close(vectors, vectors[:1].expand(3, -1))
    torch.testing.assert_close(bag(captions[:1, :3]), vectors[:1])
    vectors.sum().backward()
    assert bag.words.weight.grad.abs().sum(1).gt(0).tolist() == [k in (3, 5) for k in range(9)]


def test_unknown_words_have_a_vector_of_their_own_and_empty_captions_do_not_crash() -> None:
    bag = BagOfWords(9, outputs=4)
    known, with_unknown, empty = bag(torch.tensor([[3, 0], [3, 1], [0, 0]]))
    torch.testing.assert_close(
        with_unknown, unit(bag.mix((bag.words.weight[3] + bag.words.weight[1]) / 2))
    )
    assert not torch.allclose(known, with_unknown)
    torch.testing.assert_close(empty, unit(bag.mix(torch.zeros(4))))


def test_a_recurrent_caption_ends_with_its_last_word_not_with_the_padding() -> None:
    text = RecurrentText(9, outputs=4)
    captions = torch.tensor([[3, 5, 7, 0, 0], [4, 0, 0, 0, 0], [2, 3, 4, 5, 6], [0, 0, 0, 0, 0]])
    vectors = text(captions)
    for row, length in enumerate([3, 1, 5, 1]):
        alone, last = text.recurrent(text.words(captions[row : row + 1, :length]))
        torch.testing.assert_close(vectors[row], unit(last[0, 0]))
        torch.testing.assert_close(vectors[row], unit(alone[0, -1]))
    assert not torch.allclose(text(captions[:, [1, 0, 2, 3, 4]])[0], vectors[0]), (
        "the order of words counts"
    )


def test_a_padding_word_learns_nothing() -> None:
    text = RecurrentText(9, outputs=4)
    text(torch.tensor([[3, 0, 0], [0, 0, 0]])).sum().backward()
    assert text.words.weight.grad.abs().sum(1).gt(0).tolist() == [k == 3 for k in range(9)]


def test_vectors_pass_two_layers() -> None:
    condition, raw = VectorCondition([5], outputs=3), torch.randn(2, 5)
    first, _, second = condition.layers
    by_hand = leaky_relu(raw @ first.weight.T + first.bias, 0.2) @ second.weight.T + second.bias
    torch.testing.assert_close(condition(raw), unit(by_hand))
    assert (first.out_features, condition.outputs, condition.need) == (6, 3, "vector")


def test_classes_have_vectors_of_length_one_on_average() -> None:
    condition, labels = ClassCondition(1000, outputs=64), torch.tensor([7, 7, 2])
    assert torch.equal(condition(labels), condition.embedding.weight[labels])
    assert condition.embedding.weight.square().sum(1).mean().item() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("size", [8, 32])
def test_images_become_vectors_one_by_one(size: int) -> None:
    condition, raw = (
        ImageCondition([3, size, size], outputs=5, width=4),
        torch.randn(3, 3, size, size),
    )
    vectors = condition(raw)
    assert vectors.shape == (3, 5)
    torch.testing.assert_close(condition(raw[:1]), vectors[:1])


def test_a_conditioned_critic_translates_for_its_critic() -> None:
    discriminator = MLPDiscriminator([4], width=8, condition_dim=3)
    wrapped = ClassCondition(2, 3).wrap(discriminator)
    x = torch.randn(2, 4)
    labels = torch.tensor([1, 0])
    assert isinstance(wrapped, ConditionalDiscriminator)
    torch.testing.assert_close(
        wrapped(x, labels).score, discriminator(x, wrapped.condition.embedding.weight[labels]).score
    )


# ------------------------------------------------------------------ statistics of the batch


def appended(statistic: str, h: Tensor, group: int) -> list[float]:
    """The channel that the statistic adds to ``h`` ``[B, F]``."""
    out = MinibatchStatistic(statistic, group)(h)
    assert torch.equal(out[:, :-1], h)
    return out[:, -1].tolist()


def test_the_deviation_of_groups_by_hand() -> None:
    """Sample i is in group i mod (batch / group): 0 and 2 are 1 from their mean, 1 and 5 are 2."""
    h = torch.tensor([[0.0], [1.0], [2.0], [5.0]])
    assert appended("stddev", h, 2) == pytest.approx([1, 2, 1, 2])
    one_group = math.sqrt((4 + 1 + 0 + 9) / 4)
    assert appended("stddev", h, 4) == pytest.approx([one_group] * 4)
    assert appended("stddev", h, 3) == pytest.approx([one_group] * 4), (
        "3 does not divide 4: one group"
    )
    two_features = torch.tensor([[0.0, 10.0], [6.0, 10.0]])
    assert appended("stddev", two_features, 2) == pytest.approx([(3 + 0) / 2] * 2, abs=1e-4)


def test_distances_from_the_groups_mean_by_hand() -> None:
    h = torch.tensor([[0.0, 0.0], [3.0, 1.0], [9.0, 2.0]])
    assert appended("difference", h, 3) == pytest.approx([(4 + 1) / 2, (1 + 0) / 2, (5 + 1) / 2])


@pytest.mark.parametrize("statistic", ["stddev", "difference"])
def test_images_get_the_statistic_at_every_position(statistic: str) -> None:
    h = torch.randn(6, 3, 2, 5)
    out = MinibatchStatistic(statistic, 3)(h)
    assert out.shape == (6, 4, 2, 5)
    assert torch.equal(out[:, :3], h)
    members = [0, 2, 4]  # the group of sample 2
    away = h[members] - h[members].mean(0)
    expected = (
        away.square().mean(0).sqrt().mean() if statistic == "stddev" else away[1].abs().mean()
    )
    torch.testing.assert_close(out[2, 3], expected.expand(2, 5))


@pytest.mark.parametrize("statistic", ["stddev", "difference"])
def test_equal_samples_have_a_statistic_of_nothing_and_a_finite_gradient(statistic: str) -> None:
    h = torch.randn(1, 3, 2, 2).expand(4, -1, -1, -1).clone().requires_grad_()
    channel = MinibatchStatistic(statistic)(h)[:, 3]
    assert channel.abs().max() < 2e-4
    channel.sum().backward()
    assert h.grad.isfinite().all()


@pytest.mark.parametrize("make", [DCGANDiscriminator, ResNetDiscriminator, MLPDiscriminator])
def test_critics_with_a_statistic_see_that_samples_are_alike(make) -> None:
    plain, seeing = (make([1, 8, 8], 8, norm="none", minibatch=name) for name in ("none", "stddev"))
    x = torch.randn(4, 1, 8, 8)
    equal = x[:1].expand(4, -1, -1, -1)
    torch.testing.assert_close(plain(x).score[0], plain(equal).score[0])
    assert not torch.allclose(seeing(x).score[0], seeing(equal).score[0], atol=1e-4)
    assert seeing.heads.score.in_features > plain.heads.score.in_features


# ------------------------------------------------------------------ packs


class Recorder(nn.Module):
    """Remembers what it was shown."""

    def __init__(self, sample_shape: list[int], **options) -> None:
        super().__init__()
        self.sample_shape, self.options = sample_shape, options

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return x.flatten(1).sum(1)


def test_a_pack_is_a_sample_and_those_that_follow_it() -> None:
    packed = PackedDiscriminator(Recorder, [2, 4, 4], pack=3)
    x = (
        torch.arange(6.0).view(6, 1, 1, 1)
        + torch.tensor([0.0, 0.5]).view(1, 2, 1, 1)
        + torch.zeros(6, 2, 4, 4)
    )
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    output = packed(x)
    assert packed.discriminator.sample_shape == [6, 4, 4]
    assert packed.discriminator.seen[:, :, 0, 0].tolist() == [
        [0, 0.5, 1, 1.5, 2, 2.5],
        [3, 3.5, 4, 4.5, 5, 5.5],
    ]
    assert output.score.shape == (2,)
    assert output.x is x
    (gradient,) = torch.autograd.grad(output.score.sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))


def test_vectors_are_packed_side_by_side_and_critiques_keep_what_they_say() -> None:
    packed, x = PackedDiscriminator(MLPDiscriminator, [2], pack=2, width=8), torch.randn(4, 2)
    output, alone = packed(x), packed.discriminator(x.view(2, 4))
    assert torch.equal(output.score, alone.score)
    assert torch.equal(output.features[0], alone.features[0])
    assert output.x is x


def test_a_packed_autoencoder_is_still_an_energy() -> None:
    assert PackedDiscriminator(AutoEncoder, [3], pack=2).energy is True
    assert not hasattr(PackedDiscriminator(MLPDiscriminator, [3], pack=2), "energy")


@pytest.mark.parametrize(
    "option", [{"condition_dim": 3}, {"aux_outputs": 3}, {"condition_channels": 3}]
)
def test_packs_take_no_condition(option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="without conditions and classes, use pack=1"):
        PackedDiscriminator(Recorder, [1, 4, 4], 2, **option)


# ------------------------------------------------------------------ attention


def test_attention_starts_as_the_identity_and_learns_its_share() -> None:
    attention, x = SelfAttention(8), torch.randn(2, 8, 4, 4)
    assert torch.equal(attention(x), x)
    attention(x).square().sum().backward()
    assert attention.gamma.grad.abs() > 0


def test_attention_to_a_single_place_is_its_value() -> None:
    """Keys of 2x2 images are pooled to one place, which then has all the weight."""
    attention, x = SelfAttention(8), torch.randn(2, 8, 2, 2)
    nn.init.constant_(attention.gamma, 0.5)
    value = max_pool2d(torch.einsum("oc,bchw->bohw", attention.value.weight[:, :, 0, 0], x), 2)
    expected = x + 0.5 * torch.einsum("oc,bcij->boij", attention.out.weight[:, :, 0, 0], value)
    torch.testing.assert_close(attention(x), expected)


def test_attention_by_hand() -> None:
    attention, x = SelfAttention(8), torch.randn(1, 8, 4, 4)
    nn.init.constant_(attention.gamma, 2.0)
    q, k, v, o = (
        layer.weight[:, :, 0, 0]
        for layer in (attention.query, attention.key, attention.value, attention.out)
    )
    assert [tuple(w.shape) for w in (q, k, v, o)] == [(1, 8), (1, 8), (4, 8), (8, 4)]
    pixels = x[0].flatten(1)
    keys, values = (max_pool2d((w @ pixels).view(-1, 4, 4), 2).flatten(1) for w in (k, v))
    expected = torch.empty(8, 16)
    for place in range(16):
        logits = torch.stack([(q @ pixels[:, place]) @ keys[:, other] for other in range(4)])
        weights = logits.exp() / logits.exp().sum()
        expected[:, place] = pixels[:, place] + 2 * (
            o @ sum(w * values[:, j] for j, w in enumerate(weights))
        )
    torch.testing.assert_close(attention(x)[0].flatten(1), expected)


def test_attention_can_be_differentiated_twice() -> None:
    attention, x = SelfAttention(8), torch.randn(1, 8, 4, 4, requires_grad=True)
    nn.init.constant_(attention.gamma, 1.0)
    (gradient,) = torch.autograd.grad(attention(x).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in attention.parameters())


# ------------------------------------------------------------------ residual networks


@pytest.mark.parametrize("attention", [None, 8])
@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_residual_players_make_and_judge_images(size: int, attention: int | None) -> None:
    shape = [3, size, size]
    generator, discriminator = (
        ResNetGenerator(10, shape, width=8, attention=attention),
        ResNetDiscriminator(shape, width=8, attention=attention, aux_outputs=4, condition_dim=5),
    )
    images = generator(torch.randn(2, 10))
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1
    output = discriminator(images, torch.randn(2, 5))
    assert (output.score.shape, output.aux.shape) == ((2,), (2, 4))
    assert len(layers_of(generator, UpBlock)) == int(math.log2(size // 4))
    for network in (generator, discriminator):
        assert len(layers_of(network, SelfAttention)) == (attention is not None)


@pytest.mark.parametrize("attention", [8, 16, 32])
def test_attention_is_at_the_size_that_was_asked_for(attention: int) -> None:
    seen: list[int] = []
    networks = ResNetGenerator(4, [1, 32, 32], 8, attention=attention), None
    if attention < 32:
        networks = networks[0], ResNetDiscriminator([1, 32, 32], 8, attention=attention)
    for network in filter(None, networks):
        (layer,) = layers_of(network, SelfAttention)
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    images = networks[0](torch.randn(1, 4))
    if networks[1] is not None:
        networks[1](images)
    assert set(seen) == {attention}


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (lambda: ResNetGenerator(4, [1, 16, 16], 8, attention=4), "8, 16, got 4"),
        (lambda: ResNetGenerator(4, [1, 16, 16], 8, attention=32), "8, 16, got 32"),
        (lambda: ResNetDiscriminator([1, 32, 32], 8, attention=32), "16, 8, got 32"),
    ],
)
def test_attention_at_a_size_that_never_comes(make, sizes: str) -> None:
    with pytest.raises(ValueError, match=f"attention must be null or one of the sizes {sizes}"):
        make()


def test_sagans_and_sngans_weights_are_spectrally_normalized() -> None:
    shape = [3, 8, 8]
    discriminator = ResNetDiscriminator(shape, 8, norm="spectral", attention=8, condition_dim=3)
    generator = ResNetGenerator(4, shape, 8, norm="spectral", attention=8)
    for network in (discriminator, generator):
        weighted = layers_of(network, nn.Conv2d, nn.Linear)
        assert len(weighted) >= 9
        assert all(is_parametrized(layer) for layer in weighted)
        assert not layers_of(network, nn.BatchNorm2d, nn.GroupNorm)
    for _ in range(10):
        discriminator(torch.randn(1, *shape), torch.randn(1, 3))
    for layer in layers_of(discriminator, nn.Conv2d, nn.Linear):
        assert torch.linalg.matrix_norm(
            layer.weight.detach().flatten(1), 2
        ).item() == pytest.approx(1, abs=0.05)
    assert not any(
        map(
            is_parametrized,
            layers_of(ResNetDiscriminator(shape, 8, norm="layer"), nn.Conv2d, nn.Linear),
        )
    )


def test_blocks_by_hand() -> None:
    """The cheap order of the shortcut, a 1x1 before doubling, is that of the paper; images go in without ReLU."""
    x = torch.randn(2, 3, 4, 4)
    up = UpBlock(3, 5, ConditionInput("none", None))
    doubled = interpolate(x, scale_factor=2.0)
    by_hand = up.second(up.first(interpolate(x.relu(), scale_factor=2.0)).relu()) + up.skip(doubled)
    torch.testing.assert_close(up(x), by_hand)

    def half_size(y: Tensor) -> Tensor:
        return (y[..., ::2, ::2] + y[..., 1::2, ::2] + y[..., ::2, 1::2] + y[..., 1::2, 1::2]) / 4

    for first in (True, False):
        down = DownBlock(3, 5, "none", first=first)
        by_hand = half_size(down.second(down.first(x if first else x.relu()).relu())) + down.skip(
            half_size(x)
        )
        torch.testing.assert_close(down(x), by_hand)
    flat = DownBlock(3, 3, "none", down=False)
    torch.testing.assert_close(flat(x), flat.second(flat.first(x.relu()).relu()) + x)


def test_the_residual_critic_sums_over_positions() -> None:
    discriminator, x = ResNetDiscriminator([1, 16, 16], 8, norm="none"), torch.randn(2, 1, 16, 16)
    h = discriminator.layers(x)
    assert h.shape == (2, 8, 8, 8)
    assert (h >= 0).all()
    torch.testing.assert_close(
        discriminator(x).score, discriminator.heads.score(h.sum((2, 3))).flatten()
    )


# ------------------------------------------------------------------ R3GAN


def test_a_block_begins_as_the_identity_with_the_papers_spread() -> None:
    """N(0, g^2 / fan_in), g = sqrt(2 / 1.04) L^(-1/4) for the first two, 0 for the third."""
    block, x = ResidualBlock(64, blocks=16), torch.randn(2, 64, 4, 4)
    assert torch.equal(block(x), x)
    first, second, third = layers_of(block, nn.Conv2d)
    gain = math.sqrt(2 / 1.04) / 2
    assert first.weight.std().item() == pytest.approx(gain / math.sqrt(64), rel=0.03)
    assert second.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 9), rel=0.03)
    assert not third.weight.any()
    assert [c.bias for c in (first, second, third)] == [None] * 3
    assert [
        (c.in_channels, c.out_channels, c.kernel_size[0], c.groups) for c in (first, second, third)
    ] == [
        (64, 128, 1, 1),
        (128, 128, 3, 8),
        (128, 64, 1, 1),
    ]
    assert second.weight.shape[1] == 16, "channels a group"


def test_the_activations_bias_is_learned_and_zero_at_the_start() -> None:
    activation, x = BiasedLeakyReLU(3), torch.randn(2, 3, 4, 4)
    assert torch.equal(activation(x), leaky_relu(x, 0.2))
    nn.init.constant_(activation.bias, 1.0)
    assert torch.equal(activation(x), leaky_relu(x + 1, 0.2))


def test_halving_and_doubling_filter_by_hand() -> None:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    x = torch.randn(1, 2, 8, 8)
    down, up = Resample(up=False)(x), Resample(up=True)(x)
    assert down.shape == (1, 2, 4, 4)
    assert up.shape == (1, 2, 16, 16)
    window = x[0, 1, 3:7, 1:5]  # what output (2, 1) sees: stride 2, a border of 1
    assert down[0, 1, 2, 1].item() == pytest.approx((row @ window @ row).item(), rel=1e-5)
    # In the middle every new pixel is 3/4 of the nearest old one and 1/4 of the next, in both directions.
    old = x[0, 0, 2:4, 5:7]
    near, far = torch.tensor([0.75, 0.25]), torch.tensor([0.25, 0.75])
    assert up[0, 0, 5, 11].item() == pytest.approx((near @ old @ near).item(), rel=1e-5)
    assert up[0, 0, 6, 12].item() == pytest.approx((far @ old @ far).item(), rel=1e-5)


def test_constants_stay_constant_inside() -> None:
    ones = torch.ones(1, 3, 16, 16)
    down, up = Resample(up=False)(ones), Resample(up=True)(ones)
    torch.testing.assert_close(down[..., 1:-1, 1:-1], torch.ones(1, 3, 6, 6))
    torch.testing.assert_close(up[..., 1:-1, 1:-1], torch.ones(1, 3, 30, 30))
    again = Resample(up=False)(up)
    torch.testing.assert_close(again[..., 1:-1, 1:-1], torch.ones(1, 3, 14, 14))


def test_doubling_is_four_times_the_adjoint_of_halving() -> None:
    x, y = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 4)
    left, right = (Resample(up=False)(x) * y).sum(), (x * Resample(up=True)(y)).sum()
    assert right.item() == pytest.approx(4 * left.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("size", "width", "widths"),
    [
        (8, 64, [64, 64]),
        (32, 48, [48] * 4),
        (64, 128, [128] * 4 + [64]),
        (256, 64, [64] * 4 + [32, 16, 16]),
        (128, 112, [112] * 4 + [56, 24]),
    ],
)
def test_widths_halve_beyond_32_pixels_and_are_multiples_of_8(
    size: int, width: int, widths: list[int]
) -> None:
    assert stage_widths(size, width) == widths
    if size <= 32:
        return
    for network in (
        R3GANGenerator(4, [3, size, size], width),
        R3GANDiscriminator([3, size, size], width),
    ):
        found = [block.layers[0].in_channels for block in layers_of(network, ResidualBlock)]
        assert sorted(found) == sorted(2 * widths)


@pytest.mark.parametrize("size", [8, 32])
def test_r3gan_has_no_normalization_no_bias_and_no_tanh(size: int) -> None:
    shape = [3, size, size]
    generator, discriminator = (
        R3GANGenerator(4, shape, 32),
        R3GANDiscriminator(shape, 32, aux_outputs=2, condition_dim=3),
    )
    for network in (generator, discriminator):
        assert not layers_of(
            network, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d, nn.Tanh
        )
        convolutions = layers_of(network, nn.Conv2d)
        assert all(c.bias is None for c in convolutions)
        blocks = layers_of(network, ResidualBlock)
        assert len(blocks) == 2 * int(math.log2(size // 2))
        gain = math.sqrt(2 / 1.04) * len(blocks) ** -0.25
        seconds = torch.cat([math.sqrt(144) * block.layers[2].weight.flatten() for block in blocks])
        assert seconds.std().item() == pytest.approx(gain, rel=0.02)
    assert generator(1000 * torch.randn(2, 4)).abs().max() > 10
    output = discriminator(torch.randn(2, *shape), torch.randn(2, 3))
    assert (output.score.shape, output.aux.shape) == ((2,), (2, 2))
    depthwise = layers_of(discriminator.layers, nn.Conv2d)[-1]
    assert (depthwise.kernel_size, depthwise.groups, depthwise.out_channels) == ((4, 4), 32, 32)


@pytest.mark.parametrize(
    ("size", "published"),
    [(64, (22_429_824, 22_381_440)), (256, (23_057_952, 23_009_568))],
)
def test_r3gan_has_as_many_parameters_as_the_authors(size: int, published: tuple[int, int]) -> None:
    """For FFHQ without classes, counted in the networks of brownvc/R3GAN; the score has a bias here."""
    shape = [3, size, size]
    with torch.device("meta"):
        players = R3GANGenerator(64, shape, 768), R3GANDiscriminator(shape, 768)
    counts = tuple(sum(p.numel() for p in network.parameters()) for network in players)
    assert counts == (published[0], published[1] + 1)


def test_sngan_has_as_many_parameters_as_public_networks() -> None:
    """At 32 pixels (Miyato et al. 2018, table 4), counted in the networks of kwotsin/mimicry."""
    g, d = ResNetGenerator(128, [3, 32, 32], 256), ResNetDiscriminator([3, 32, 32], 128)
    counts = tuple(sum(p.numel() for p in network.parameters()) for network in (g, d))
    assert counts == (4_276_739, 1_053_825)


def test_both_players_begin_as_linear_maps() -> None:
    """All blocks are the identity: G(z) is linear in z through the learned 4x4 basis, D(x) affine in x."""
    generator, discriminator = R3GANGenerator(4, [1, 8, 8], 16), R3GANDiscriminator([1, 8, 8], 16)
    z, w = torch.randn(2, 3, 4)
    torch.testing.assert_close(
        generator(2 * z + w), 2 * generator(z) + generator(w), rtol=1e-4, atol=1e-4
    )
    x, y = torch.randn(2, 3, 1, 8, 8)

    def score(images: Tensor) -> Tensor:
        return discriminator(images).score - discriminator(torch.zeros_like(images)).score

    torch.testing.assert_close(score(2 * x + y), 2 * score(x) + score(y), rtol=1e-4, atol=1e-4)
    basis = generator.weights(z)[:, :, None, None] * generator.basis
    torch.testing.assert_close(generator.layers[:2](basis), basis)


def test_widths_change_before_doubling_and_after_halving() -> None:
    def order(layers: nn.Sequential) -> list[str]:
        return [type(layer).__name__ for layer in layers]

    up, down = R3GANGenerator(4, [3, 64, 64], 32), R3GANDiscriminator([3, 64, 64], 32)
    assert order(up.layers)[-5:] == [
        "Conv2d",
        "Resample",
        "ResidualBlock",
        "ResidualBlock",
        "Conv2d",
    ]
    assert order(down.layers)[:5] == [
        "Conv2d",
        "ResidualBlock",
        "ResidualBlock",
        "Resample",
        "Conv2d",
    ]


# ------------------------------------------------------------------ what cannot be


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MinibatchStatistic("mean"),
            "minibatch must be one of none, stddev, difference, got 'mean'",
        ),
        (lambda: MinibatchStatistic("stddev", 1), "group must be >= 2, got 1"),
        (lambda: PackedDiscriminator(Recorder, [1, 4, 4], 1), "pack must be >= 2, got 1"),
        (
            lambda: PackedDiscriminator(Recorder, [1, 4, 4], 2)(torch.zeros(3, 1, 4, 4)),
            "3 samples cannot be divided into packs of 2",
        ),
        (lambda: SelfAttention(4), "attention needs at least 8 channels, got 4"),
        (lambda: R3GANGenerator(4, [3, 8, 8], 24), "width must be a multiple of 16, got 24"),
        (lambda: R3GANDiscriminator([3, 8, 8], 8), "width must be a multiple of 16, got 8"),
        (
            lambda: R3GANDiscriminator([3, 12, 12]),
            "discriminator=r3gan works on square images of .*, got 12x12",
        ),
        (lambda: ResNetGenerator(4, [2]), "generator=resnet works on images"),
        (
            lambda: Heads([3], condition_dim=2, fusion="add"),
            "fusion must be one of projection, concat, got 'add'",
        ),
        (lambda: DCGANEncoder(4, [2]), "encoder=dcgan works on images"),
        (
            lambda: AutoEncoder([1, 12, 12]),
            "discriminator=autoencoder works on square images of .*, got 12x12",
        ),
        (
            lambda: AutoEncoder([2], condition_dim=3, fusion="concat"),
            "discriminator=autoencoder predicts no class and takes",
        ),
        (
            lambda: AutoEncoder([1, 8, 8], condition_channels=3),
            "discriminator=autoencoder predicts no class and takes",
        ),
    ],
)
def test_impossible_networks_say_what_is_possible(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
