"""PGGAN: growth by hand, continuity, what each size uses, and the paper's number of parameters."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch
from gan_zoo.models.pggan import PGGAN, at_growth
from gan_zoo.networks.dcgan import DCGANGenerator
from gan_zoo.networks.pggan import PGGANDiscriminator, PGGANGenerator

SHAPE = [1, 16, 16]
SMALL = {"sample_shape": SHAPE, "width": 4, "max_width": 8}


def pggan(**options) -> PGGAN:
    torch.manual_seed(0)
    generator, discriminator = (partial(n, **SMALL) for n in (PGGANGenerator, PGGANDiscriminator))
    return PGGAN(generator, discriminator, latent_dim=6, **options)


def test_growth_by_hand() -> None:
    """4x4 for 100 images, 8x8 faded in over 50, kept for 100, 16x16 faded in over 50, then for good."""
    model = pggan(fade_images=50, stable_images=100)
    found = [model.growth_after(n) for n in (0, 99, 100, 125, 150, 249, 275, 299, 300, 10_000)]
    assert found == [0, 0, 0, 0.5, 1, 1, 1.5, 1.98, 2, 2]


def test_reals_by_hand() -> None:
    x = torch.randn(2, 1, 16, 16)
    blocks = x.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    expected = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(at_growth(x, 0.0), expected)
    half = (at_growth(x, 0.0) + at_growth(x, 1.0)) / 2
    torch.testing.assert_close(at_growth(x, 0.5), half)
    assert torch.equal(at_growth(x, 2.0), x)
    model = pggan(stable_images=1, fade_images=1)
    data = Batch(2, StepRNG(0, 0), real=x)
    (term,) = model.adversarial_terms(data, model.generate(data))
    torch.testing.assert_close(term.real, expected)


@pytest.mark.parametrize("growth", [0.0, 1.0])
def test_a_new_size_begins_as_the_size_before(growth: float) -> None:
    model, z = pggan(), torch.randn(4, 6)
    generator, discriminator = model.generators["main"], model.discriminators["main"]
    values = []
    for now in (growth, growth + 1e-6, growth + 1.0):
        generator.growth.fill_(now)
        discriminator.growth.fill_(now)
        images = generator(z)
        values.append((images, discriminator(at_growth(images, now)).score))
    for before, after in zip(values[0], values[1], strict=True):
        torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(values[0][0], values[2][0], atol=1e-2)


def test_images_have_the_resolution_of_the_growth() -> None:
    generator = pggan().generators["main"]
    generator.growth.fill_(1.0)
    images = generator(torch.randn(2, 6))
    assert images.shape == (2, *SHAPE)
    assert torch.equal(images, at_growth(images, 1.0))


def test_only_the_layers_of_the_size_are_trained() -> None:
    model = pggan()
    for growth, sizes in ((0.0, {"0"}), (0.5, {"0", "1"}), (2.0, {"2"})):
        for network in model.growing:
            network.growth.fill_(growth)
        model.zero_grad()
        model.discriminators["main"](
            model.generators["main"](torch.randn(2, 6))
        ).score.sum().backward()
        for name, rgb in (("generators", "to_image"), ("discriminators", "from_image")):
            parameters = getattr(model, name)["main"].named_parameters()
            used = {n.split(".")[1] for n, p in parameters if rgb in n and p.grad is not None}
            assert used == sizes, (name, growth)


def test_activations_are_normalized() -> None:
    """Each position has root mean square 1 over channels, so scales cannot escalate."""
    generator = pggan().generators["main"]
    generator.growth.fill_(2.0)
    seen = []
    generator.blocks[0].register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    generator(1000 * torch.randn(3, 6))
    torch.testing.assert_close(seen[0].square().mean(1), torch.ones(3, 8, 8), atol=1e-4, rtol=0)


def test_the_papers_networks_have_as_many_parameters() -> None:
    """Karras et al. 2018, table 2: 23.1M for each at 1024 pixels."""
    with torch.device("meta"):
        networks = (
            PGGANGenerator(512, [3, 1024, 1024], width=16),
            PGGANDiscriminator([3, 1024, 1024], width=16),
        )
    for network in networks:
        assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 23.1


def test_networks_that_do_not_grow_are_refused() -> None:
    with pytest.raises(ValueError, match="model=pggan needs networks that grow: generator=pggan"):
        PGGAN(partial(DCGANGenerator, sample_shape=SHAPE), partial(PGGANDiscriminator, **SMALL))


def test_a_run_grows_and_its_averaged_generator_with_it(tiny) -> None:
    small = ["data=digits", "data.image_size=16", "data.batch_size=4", "generator.width=2"]
    growing = ["model.stable_images=4", "model.fade_images=8", "trainer.max_steps=5"]
    trainer, module, data = build(
        tiny("model=pggan", "loss=wgan_gp", "loss.n_critic=1", "optim=pggan", *small, *growing)
    )
    trainer.fit(module, datamodule=data)
    # The last step began after 16 images: 4 of 4x4, 8 of fading, 4 of 8x8.
    assert [float(network.growth) for network in module.model.growing] == [1.0, 1.0]
    assert float(module.ema.generators["main"].growth) == 1.0
    assert module.regularizers["realism"].keys() == {"drift", "gradient_penalty"}
