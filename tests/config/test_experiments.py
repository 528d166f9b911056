"""Recipes: they compose, and train a step on small data."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF

TRANSLATION = (
    *("data.image_size=16", "data.load_size=null", "trainer.max_epochs=null"),
    *("generator.width=4", "discriminator.width=4", "discriminator.layers=1"),
)
SMALL = {
    "cyclegan_horse2zebra": ("data=openmoji_lines", "generator.blocks=1", *TRANSLATION),
    "cyclegan_maps": ("data=openmoji_lines", "generator.blocks=1", *TRANSLATION),
    "mixtures": (),
    "pix2pix_edges2shoes": ("data=openmoji_lines", "generator.depth=3", *TRANSLATION),
    "pix2pix_facades": ("data=openmoji_lines", "generator.depth=3", *TRANSLATION),
    "r3gan_cifar10": ("data=digits", "generator.width=16", "discriminator.width=16"),
}


def test_every_recipe_is_here() -> None:
    assert set(SMALL) == set(choices("experiment", CONF)) - {"null"}


@pytest.mark.parametrize("name", SMALL)
def test_a_step_of_every_recipe(name: str, tiny) -> None:
    trainer, module, data = build(tiny(f"experiment={name}", *SMALL[name], "trainer.max_steps=1"))
    trainer.fit(module, datamodule=data)
    assert module.global_step == 1


def test_r3gans_numbers_at_the_beginning_and_from_20_million_images_on(composed) -> None:
    from gan_zoo.config.build import scalar_schedules

    schedules = scalar_schedules(composed("experiment=r3gan_cifar10"))
    ends = {
        schedule.value: (schedule(0), schedule(20_000_000), schedule(10**9))
        for schedule in schedules.values()
    }
    assert ends["optim.generator.lr"] == pytest.approx((2e-4, 5e-5, 5e-5))
    assert ends["optim.discriminator.betas[1]"] == pytest.approx((0.9, 0.99, 0.99))
    assert ends["regularizer.r1.gamma"] == pytest.approx((0.05, 0.005, 0.005))
    assert ends["ema.half_life"] == pytest.approx((0, 5e6, 5e6))
    assert ends["augment.p"] == pytest.approx((0, 0.55, 0.55))
    middle = {schedule.value: schedule(10_000_000) for schedule in schedules.values()}
    assert middle["optim.generator.lr"] == pytest.approx(1.25e-4)


def test_the_translators_of_recipes_are_as_large_as_published(tiny) -> None:
    """The repository's ResNet of 9 blocks, U-Net of 8 halvings and patch discriminators.

    Counts by hand: weights and biases of all convolutions; without the scale and shift of instance
    normalization, which the repository leaves out, and with the 2C of batch normalization.
    """
    from gan_zoo.config.build import build_module

    def convolutions(network) -> int:
        kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
        return sum(
            p.numel() for m in network.modules() if isinstance(m, kinds) for p in m.parameters()
        )

    module = build_module(tiny("experiment=cyclegan_horse2zebra", "data.root=data"))
    residual = 18 * (256 * 256 * 9 + 256)
    halvings = (64 * 128 * 9 + 128) + (128 * 256 * 9 + 256)
    doublings = (256 * 128 * 9 + 128) + (128 * 64 * 9 + 64)
    ends = (3 * 64 * 49 + 64) + (64 * 3 * 49 + 3)
    assert convolutions(module.model.generators["a_to_b"]) == residual + halvings + doublings + ends
    assert (
        residual + halvings + doublings + ends == 11_378_179
    )  # 11.378 M, printed by the repository

    module = build_module(tiny("experiment=pix2pix_facades", "data.root=data"))
    down = [(3, 64), (64, 128), (128, 256), (256, 512), *[(512, 512)] * 4]
    up = [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64), (128, 3)]
    weights = 16 * sum(a * b for a, b in [*down, *up])
    found = sum(
        m.weight.numel()
        for m in module.model.generators["main"].modules()
        if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))
    )
    assert found == weights
