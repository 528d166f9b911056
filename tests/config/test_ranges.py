"""Ranges belong to the signatures: every number of every part's preset is refused where it makes no sense."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from gan_zoo.config.compose import get_object, to_dict
from gan_zoo.config.signatures import check_arguments, check_call
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.training.ema import EMA

GROUPS = (
    "loss",
    "regularizer",
    "augment",
    "generator",
    "discriminator",
    "encoder",
    "condition",
    "model",
)
GROUPS += ("reconstruction", "classification", "optim/schedule")

NEGATIVE = {"fake_target", "real_target", "generator_target", "slope", "alpha"}
"""Arguments that may be below 0: targets of least squares, the slope of GLS-GAN, the shape of Barron's family."""
INFINITE = {"alpha"}
"""Minus infinity is Welsch's loss; see `gan_zoo.auxiliary_losses.reconstruction.Robust`."""


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every group of settings that names a class."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield value
        for child in value.values():
            yield from nodes(child)


def numbers() -> Iterator[tuple[str, str, float]]:
    """Class, argument and value of every number in a preset of the groups."""
    for path in sorted(path for group in GROUPS for path in (CONF / group).glob("*.yaml")):
        for node in nodes(OmegaConf.to_container(OmegaConf.load(path), resolve=False)):
            for name, value in node.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    yield node["_target_"], name, value


NUMBERS = sorted({(target, name) for target, name, _ in numbers()})


def complaint(target: str, name: str, value: Any) -> str:
    """What the check of configs says of this value; empty if it is accepted."""
    try:
        check_call(get_object(target), {name: value}, "part")
    except ConfigError as error:
        return str(error)
    return ""


def test_there_are_numbers() -> None:
    assert len(NUMBERS) > 60


@pytest.mark.parametrize(("target", "name"), NUMBERS)
def test_numbers_that_make_no_sense_are_refused(target: str, name: str) -> None:
    bad = [math.nan, math.inf, "one"]
    bad += [] if name in INFINITE else [-math.inf]
    bad += [] if name in NEGATIVE else [-1, -0.5]
    for value in bad:
        said = complaint(target, name, value)
        assert said.startswith(f"part.{name}: must be "), f"{target}({name}={value!r}) is accepted"
        assert said.endswith(f"got {value!r}")
        assert "\n" not in said


def test_the_presets_own_numbers_are_accepted() -> None:
    assert not [(t, name, value) for t, name, value in numbers() if complaint(t, name, value)]


@pytest.mark.parametrize("name", ["half_life", "ramp_up"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_the_averaged_generator_too(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"ema.{name}: must be "):
        check_call(EMA, {name: value}, "ema")


@pytest.mark.parametrize("group", ["generator", "discriminator"])
@pytest.mark.parametrize("shape", [[], [0, 8, 8], [3, -8, 8], 8])
def test_empty_shapes_are_refused(group: str, shape: Any) -> None:
    for path in (CONF / group).glob("*.yaml"):
        node = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        if isinstance(node, dict) and "sample_shape" in node:
            assert complaint(node["_target_"], "sample_shape", shape).startswith(
                "part.sample_shape: must "
            )


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["regularizer=[r1]", "regularizer.r1.gamma=-1"], "regularizer.r1.gamma"),
        (["regularizer=[lecam]", "regularizer.lecam.weight=-1"], "regularizer.lecam.weight"),
        (["augment=ada", "augment.target=-0.5"], "augment.target"),
        (["ema.half_life=nan"], "ema.half_life"),
        (["optim/schedule=linear", "optim.schedule.final=1e12"], "optim.schedule.final"),
        (["model=cyclegan", "model.cycle_weight=nan"], "model.cycle_weight"),
        (["generator.sample_shape=[]"], "generator.sample_shape"),
    ],
)
def test_a_config_is_refused_with_one_line(
    overrides: list[str], name: str, composed: Callable[..., DictConfig]
) -> None:
    with pytest.raises(ConfigError) as refused:
        check_arguments(to_dict(composed(*overrides)))
    assert str(refused.value).startswith(f"{name}: must ")
    assert "\n" not in str(refused.value)
