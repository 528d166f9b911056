"""Recipes: they compose, and train a step on small data."""

from __future__ import annotations

import pytest

from gan_zoo.config.build import build
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF

SMALL = {
    "mixtures": (),
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
