"""Numbers that change with the images seen: pure functions, set on what they are named after."""

from __future__ import annotations

import math

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.core.errors import ConfigError
from gan_zoo.training.scalar_schedules import ScalarSchedule, ScalarSchedules


def test_kinds_by_hand() -> None:
    cosine = ScalarSchedule("x", 10.0, 2.0, until=100)
    assert [cosine(images) for images in (0, 50, 100, 10**9)] == pytest.approx([10, 6, 2, 2])
    assert cosine(25) == pytest.approx(2 + 8 * 0.5 * (1 + math.cos(math.pi / 4)))
    linear = ScalarSchedule("x", 1.0, 0.0, until=200, kind="linear")
    assert [linear(images) for images in (0, 50, 200, 300)] == pytest.approx([1, 0.75, 0, 0])
    steps = ScalarSchedule("x", 8.0, kind="steps", at=[10, 20], factor=0.5)
    assert [steps(images) for images in (0, 9, 10, 19, 20, 99)] == [8, 8, 4, 4, 2, 2]
    assert ScalarSchedule("x", 3.0, kind="constant")(77) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "cubic"},
            "schedules.kind must be one of constant, linear, cosine, steps, got 'cubic'",
        ),
        ({"end": 1.0}, "schedules of kind cosine need end and until, got end=1.0, until=None"),
    ],
)
def test_impossible_schedules(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScalarSchedule("x", 1.0, **options)
    with pytest.raises(ValueError, match="schedules must set each value once, got x twice"):
        ScalarSchedules(
            {
                "a": ScalarSchedule("x", 1.0, kind="constant"),
                "b": ScalarSchedule("x", 1.0, kind="constant"),
            }
        )


SCHEDULES = (
    "+schedules.gamma={value: regularizer.r1.gamma, start: 10, end: 2, until: 64, kind: linear}",
    "+schedules.lr={value: optim.generator.lr, start: 0.01, end: 0.001, until: 64, kind: linear}",
    "+schedules.beta={value: 'optim.discriminator.betas[1]', start: 0.9, end: 0.99, until: 64, kind: linear}",
    "+schedules.ema={value: ema.half_life, start: 10, end: 90, until: 64, kind: linear}",
    "+schedules.p={value: augment.p, start: 0.0, end: 1.0, until: 64, kind: linear}",
    "+schedules.orthogonal={value: regularizer.orthogonal_generator.weight, start: 1, end: 0, until: 64, kind: linear}",
)
NAMED = (
    "model=dcgan",
    "data=digits",
    "data.batch_size=8",
    "augment=ada",
    "regularizer=[r1,orthogonal_generator]",
)


PLAYERS = ("generator", "discriminator")
CONSTANT = (
    "+schedules.rate={value: optim.generator.lr, start: 2e-4, end: 2e-4, until: 64, kind: linear}"
)


def numbers(module) -> list[float]:
    discriminator, generator = module.trainer.optimizers
    return [
        module.regularizers["realism"]["r1"].gamma,
        generator.param_groups[0]["lr"],
        discriminator.param_groups[0]["betas"][1],
        module.ema.half_life,
        float(module.model.discriminators["main"].augmentation.p),
        module.generator_regularizers["orthogonal_generator"].weight,
    ]


def test_each_named_number_is_set_before_each_step(tiny, monkeypatch) -> None:
    """After 4 steps of 8 images, the numbers of the last step are those at 24 of 64 images."""
    trainer, module, data = build(tiny(*NAMED, *SCHEDULES, "trainer.max_steps=4"))
    trainer.fit(module, datamodule=data)
    expected = [
        10 - 8 * 0.375,
        0.01 - 0.009 * 0.375,
        0.9 + 0.09 * 0.375,
        10 + 80 * 0.375,
        0.375,
        1 - 0.375,
    ]
    assert numbers(module) == pytest.approx(expected, rel=1e-3)  # ada moves p, too
    assert discriminator_rate(module) == pytest.approx(2e-4), "what is not scheduled stays"


def discriminator_rate(module) -> float:
    return module.trainer.optimizers[0].param_groups[0]["lr"]


def test_a_rate_of_a_transformer_is_that_of_the_config(tiny) -> None:
    """optim=gat divides the rate by the width, as a schedule of it does."""
    overrides = ("model=gat", "data=digits", *(f"{p}.width=64" for p in PLAYERS))
    rates = []
    for more in ((), (CONSTANT,)):
        _, module, _ = build(tiny(*overrides, *more))
        optimizers = module.configure_optimizers()
        generator = optimizers[1]
        if more:
            module.schedules.check(module, dict(zip(reversed(PLAYERS), optimizers, strict=True)))
        rates.append(generator.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(2e-4 * 768 / 64)
    assert rates[1] == pytest.approx(rates[0])


def test_a_resumed_run_is_the_uninterrupted_one(tiny, tmp_path) -> None:
    """Schedules have no state: they are functions of the images seen, which the checkpoint counts."""
    overrides = ("model=gan", "data=ring", "data.batch_size=8", "regularizer=[r1]", *SCHEDULES[:4])

    def train(steps: int, checkpoint: str | None = None):
        trainer, module, data = build(tiny(*overrides, f"trainer.max_steps={steps}"))
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
        return trainer, module

    _, whole = train(6)
    half, _ = train(3)
    half.save_checkpoint(tmp_path / "half.ckpt")
    _, resumed = train(6, str(tmp_path / "half.ckpt"))
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            "{value: regularizer.r2.gamma, start: 1, kind: constant}",
            "regularizer.<name>.<argument>.* got 'regularizer.r2",
        ),
        ("{value: optim.generator.momentum, start: 1, kind: constant}", "Adam has no momentum"),
        (
            "{value: model.latent_dim, start: 1, kind: constant}",
            "schedules.value must be optim.<side>.lr",
        ),
        ("{start: 1, kind: constant}", "schedules.a must be a mapping with value"),
        (
            "{value: ema.half_life, begin: 1}",
            "schedules.a must be a mapping of value, start, .* got 'begin'",
        ),
        (
            "{value: ema.half_life, start: high}",
            "schedules.a.start: must be a .*number, got 'high'",
        ),
    ],
)
def test_what_cannot_be_scheduled_is_refused_before_training(
    schedule: str, message: str, tiny
) -> None:
    from gan_zoo.training.trainer import check_compatible

    with pytest.raises((ConfigError, ValueError), match=message):
        check_compatible(*build(tiny("model=gan", "data=ring", f"+schedules.a={schedule}")))


def test_a_rate_has_one_schedule(tiny) -> None:
    overrides = (
        "model=gan",
        "data=ring",
        "optim/schedule=cosine",
        SCHEDULES[1],
        "trainer.max_steps=4",
    )
    with pytest.raises(
        (ConfigError, ValueError),
        match=r"schedules sets optim.generator.lr, which optim.schedule also",
    ):
        build(tiny(*overrides))
