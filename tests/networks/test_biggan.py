"""BigGAN's networks: the published numbers of parameters, where latents and classes enter, how they start."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.networks import biggan
from gan_zoo.networks.layers import attention, heads
from gan_zoo.networks.layers import conditional_norm as norm
from gan_zoo.networks.resnet import DownBlock

SHAPE = [3, 32, 32]
Y = torch.eye(4)


def small(**options) -> biggan.BigGANGenerator:
    torch.manual_seed(0)
    return biggan.BigGANGenerator(8, SHAPE, 4, width=4, embedding_dim=6, **options)


@pytest.fixture
def unnormalized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights alone: spectral normalization and initialization do not change their number."""
    for module in (biggan, attention, heads, norm, biggan.UpBlock.__init__.__globals__):
        target = module if isinstance(module, dict) else vars(module)
        monkeypatch.setitem(target, "apply_spectral_norm", lambda layer, _: layer)
    monkeypatch.setattr(biggan, "initialize", lambda network, init: None)


@pytest.mark.parametrize(
    ("generator", "discriminator", "latent_dim", "published"),
    [
        (biggan.BigGANGenerator, biggan.BigGANDiscriminator, 120, (70_433_988, 87_982_370)),
        (biggan.BigGANDeepGenerator, biggan.BigGANDeepDiscriminator, 128, (50_244_484, 34_590_210)),
    ],
    ids=["biggan", "biggan_deep"],
)
def test_the_published_numbers_of_parameters(
    generator, discriminator, latent_dim: int, published: tuple[int, int], unnormalized
) -> None:
    """At 128 pixels with 1,000 classes, as google/compare_gan's tests of both architectures have them.

    In the paper (table 1 and appendix B) 70.4, 88.0, 50.4 and 34.6 million.
    """
    with torch.device("meta"):
        g = generator(latent_dim, [3, 128, 128], 1000, attention=64)
        d = discriminator([3, 128, 128], condition_dim=1000, attention=64)
    assert tuple(sum(p.numel() for p in network.parameters()) for network in (g, d)) == published


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("deep", [False, True])
def test_shapes_and_ranges(size: int, deep: bool) -> None:
    torch.manual_seed(0)
    make = biggan.BigGANDeepGenerator if deep else biggan.BigGANGenerator
    critic = biggan.BigGANDeepDiscriminator if deep else biggan.BigGANDiscriminator
    at = 16 if size == 32 else 32
    latent_dim = 8 * len(biggan.GENERATOR_WIDTHS[size])
    g = make(latent_dim, [3, size, size], 4, width=8, attention=at, embedding_dim=6)
    d = critic([3, size, size], width=8, attention=at, condition_dim=4)
    images = g(torch.randn(4, latent_dim), Y)
    assert images.shape == (4, 3, size, size)
    assert images.abs().max() < 1
    assert 0.01 < images.std() < 0.9, "neither constant nor saturated at the start"
    scores = d(images, Y).score
    assert scores.shape == (4,)
    assert scores.isfinite().all()
    assert scores.std() < 10


def test_each_chunk_of_the_latents_enters_at_its_own_block() -> None:
    """The first one at the first layer, the others in the normalizations of one block each."""
    g = small()
    latents = torch.randn(4, 8)
    seen: list[torch.Tensor] = []
    for block in g.blocks:
        block.before.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    g(latents, Y)
    embedded = g.embed(Y)
    for number, given in enumerate(seen):
        expected = torch.cat([embedded, latents[:, 2 * number + 2 : 2 * number + 4]], 1)
        torch.testing.assert_close(given, expected)
    assert len(seen) == 3


def test_classes_and_latents_change_the_image() -> None:
    for g in (small(), biggan.BigGANDeepGenerator(8, SHAPE, 4, width=4, embedding_dim=6)):
        g.eval()
        z = torch.randn(1, 8)
        one, other = g(z, Y[:1]), g(z, Y[1:2])
        assert not torch.allclose(one, other)
        assert not torch.allclose(one, g(torch.randn(1, 8), Y[:1]))


def test_weights_start_orthogonal_and_normalized_but_the_embedding() -> None:
    """A spectrally normalized orthogonal matrix is itself; the generator's embedding is left alone."""
    g = small()
    assert not is_parametrized(g.embed), "normalizing it cripples the generator (authors' remark)"
    layers = [m for m in g.modules() if isinstance(m, (nn.Linear, nn.Conv2d)) and m is not g.embed]
    assert len(layers) == 1 + 3 * (3 + 4) + 1
    for layer in layers:
        assert is_parametrized(layer, "weight")
        weight = layer.weight.detach().flatten(1)
        rows = weight if len(weight) <= weight.shape[1] else weight.T
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=2e-3, rtol=0)
    d = biggan.BigGANDiscriminator(SHAPE, width=4, condition_dim=4)
    weighted = [m for m in d.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    assert all(is_parametrized(layer, "weight") for layer in weighted), "also of the embedding"


def test_skips_of_deep_blocks_drop_and_add_channels() -> None:
    condition = norm.ConditionInput(biggan.NORM, 3)
    up = biggan.DeepUpBlock(8, 4, True, condition)
    down = biggan.DeepDownBlock(4, 8, True)
    for block in (up, down):  # the convolutions add nothing
        block.convs[3] = nn.Conv2d(2, block.convs[3].out_channels, 1)
        nn.init.zeros_(block.convs[3].weight)
        nn.init.zeros_(block.convs[3].bias)
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(
        up(x, torch.randn(2, 3)), x[:, :4].repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    y = torch.randn(2, 4, 4, 4)
    pooled = nn.functional.avg_pool2d(y, 2)
    torch.testing.assert_close(down(y)[:, :4], pooled)
    torch.testing.assert_close(down(y)[:, 4:], down.more(pooled))


def test_the_first_block_of_the_critic_sees_images_as_they_are() -> None:
    d = biggan.BigGANDiscriminator(SHAPE, width=4)
    blocks = [layer for layer in d.layers if isinstance(layer, DownBlock)]
    assert [block.is_first for block in blocks] == [True, False, False, False]
    assert [block.down for block in blocks] == [True, True, False, False]
    x = torch.randn(2, 3, 32, 32)
    kept = x.clone()
    d(x)
    assert torch.equal(x, kept), "no ReLU changes its input in place"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: biggan.BigGANGenerator(9, SHAPE, 4), "model.latent_dim must be divisible by 4"),
        (
            lambda: biggan.BigGANGenerator(8, [3, 16, 16], 4),
            "is for images of 32, 64, 128, 256 pixels",
        ),
        (lambda: small(attention=64), "attention must be null or one of the sizes 8, 16, 32"),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("model", ["biggan", "biggan_deep", "sngan_projection"])
def test_presets_train_and_sample_classes(model: str, tiny) -> None:
    thin = ["generator.width=2", "discriminator.width=2", "loss.n_critic=1"]
    trainer, module, data = build(
        tiny(f"model={model}", "loss=hinge", *thin, "trainer.max_steps=2")
    )
    trainer.fit(module, datamodule=data)
    request = SampleRequest(20, StepRNG(0, 0), label=torch.arange(20) % 10)
    assert module.sample(request).shape[0] == 20
    project = module.model.discriminators["main"].discriminator.heads.project
    assert project.weight.shape[1] == 10, "a row for each class"
    if model != "sngan_projection":
        assert [type(r).__name__ for r in module.generator_regularizers.values()] == [
            "OrthogonalGenerator"
        ]
