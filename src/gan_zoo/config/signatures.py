"""Every value of a config against the signature it is meant for, before anything is built."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from gan_zoo.config.compose import get_object
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.nested import get_dotted
from gan_zoo.core.types import Count, Whole

GROUPS = (
    *(
        "trainer",
        "callbacks",
        "logger",
        "extractor",
        "metric",
        "data",
        "generator",
        "discriminator",
        "optim",
        "model",
    ),
    *("loss", "regularizer", "divergence", "schedules"),
)
NAMED_GROUPS = ("callbacks", "logger", "metric", "regularizer")
REQUIRED_TARGETS = (
    "trainer",
    "data.source",
    "generator",
    "model",
    "loss.adversarial",
    "optim.generator",
    "optim.discriminator",
)
OPTIONAL_TARGETS = ("optim.schedule", "augment")


def _top(
    resume: str | None,
    other_data: bool,
    trust: bool,
    pack: Count,
    accumulate: Count,
    freeze_discriminator: Whole,
    init: str | None,
    init_only: str | None,
    channels_last: bool,
    tags: list[str],
    run_dir: str,
    seed: int,
    compiled: dict[str, Any] | None,
) -> None:
    """The settings at the top of the config."""


def check_arguments(config: Mapping[str, Any]) -> None:
    """Raise `ConfigError` naming the first value that is not what its place in the config is for.

    Args:
        config: the resolved config, plain containers.
    """
    from gan_zoo.data.datamodule import DataModule
    from gan_zoo.training.ema import EMA
    from gan_zoo.training.module import GANModule

    # The top of the config, its learning rates and its groups.
    check_call(_top, config, "")
    for player in ("generator", "discriminator"):
        _check_rate(get_dotted(config, f"optim.{player}.lr"), f"optim.{player}.lr")
    for name in GROUPS:
        _require(isinstance(config[name], dict), name, "a group of settings", config[name])

    # Entries of named groups, and groups that describe one object.
    for name in NAMED_GROUPS:
        for key, node in config[name].items():
            _require(
                node is None or _is_target(node), f"{name}.{key}", "null or have a _target_", node
            )
    for name in (*REQUIRED_TARGETS, *OPTIONAL_TARGETS):
        node = get_dotted(config, name)
        _require(
            _is_target(node) or (name in OPTIONAL_TARGETS and not node),
            name,
            "a group with a _target_",
            node,
        )

    # Arguments of our own classes, some of which come from several groups.
    check_call(DataModule, config["data"], "data")
    check_call(GANModule, config["loss"] | config["optim"] | {"ema": config["ema"]}, "")
    for name, node in config["schedules"].items():
        if node is not None:
            check_schedule(node, f"schedules.{name}")
    if config["ema"] is not None:
        check_call(EMA, config["ema"], "ema")

    # Arguments of every node with a _target_, except those of the launcher.
    _check_nodes({key: node for key, node in config.items() if key != "launcher"}, "")


def _check_rate(rate: Any, name: str) -> None:
    """Raise `ConfigError` for a learning rate with which nothing is learned; optimizers take 0 and
    NaN.
    """
    is_number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
    _require(
        rate is None or not is_number or 0 < rate < math.inf, name, "a finite number > 0", rate
    )


def check_schedule(node: Any, where: str) -> None:
    """Raise `ConfigError` unless ``node`` has the arguments of a `ScalarSchedule`."""
    from gan_zoo.training.scalar_schedules import ScalarSchedule

    # A mapping with known keys, of which some are required.
    _require(
        isinstance(node, dict), where, "null or a mapping with value, start, end, until, kind", node
    )
    known = inspect.signature(ScalarSchedule).parameters
    for key in node:
        _require(key in known, where, f"a mapping of {', '.join(known)}", key)
    for key in ("value", "start"):
        _require(key in node, where, f"a mapping with {key}", node)
    check_call(ScalarSchedule, node, where)


def check_call(make: Callable[..., Any], values: Mapping[str, Any], where: str) -> None:
    """Raise `ConfigError` naming the first of ``values`` that ``make`` does not take; unknown names
    stay.

    Args:
        make: a class or a function with annotated arguments.
        values: plain values by argument; those that are built first (with a ``_target_``) are not
            looked at.
        where: what the config calls the place of ``values``.
    """
    # Values that are built later cannot be checked yet.
    types = _types_of(make)
    for name, value in values.items():
        if (
            name in types
            and not _contains_targets(value)
            and (complaint := _violation(types[name], value))
        ):
            raise ConfigError(f"{where}{'.' if where else ''}{name}: {complaint}, got {value!r}")


def _check_nodes(node: Any, where: str) -> None:
    if isinstance(node, dict):
        # Children first, so that the innermost mistake is named.
        for key, child in node.items():
            _check_nodes(child, f"{where}.{key}" if where else str(key))
        if "_target_" in node:
            target = node["_target_"]
            _require(
                isinstance(target, str) and "." in target,
                f"{where}._target_",
                "the name of code",
                target,
            )
            check_call(get_object(target), node, where)


def _is_target(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _contains_targets(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_target(value) or any(map(_contains_targets, value.values()))
    return isinstance(value, list) and any(map(_contains_targets, value))


def _require(holds: bool, name: str, allowed: str, value: Any) -> None:
    if not holds:
        raise ConfigError(f"{name} must be {allowed}, got {value!r}")


@cache
def _types_of(make: Callable[..., Any]) -> dict[str, TypeAdapter[Any]]:
    """What checks each argument; arguments whose annotation says nothing that could be checked are
    left out.
    """
    # Annotations that cannot be evaluated here say nothing.
    try:
        hints = get_type_hints(
            make.__init__ if inspect.isclass(make) else make, include_extras=True
        )
    except (NameError, TypeError):
        return {}

    # Types that pydantic has no schema for are not checked.
    adapters = {}
    for name, hint in hints.items():
        try:
            adapters[name] = TypeAdapter(
                hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True)
            )
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError):
            continue
    return adapters


def _yaml_wording(message: str) -> str:
    """Pydantic's message, in the words of a YAML file."""
    # In this order, as the longer wording holds the shorter one.
    words = {
        "Input should be ": "",
        "a valid integer": "an integer",
        "a valid ": "a ",
        "an instance of Sequence": "a list",
        "a tuple": "a list",
    }
    for theirs, ours in words.items():
        message = message.replace(theirs, ours)
    return message


def _violation(adapter: TypeAdapter[Any], value: Any) -> str:
    """What is wrong with ``value``, in a few words; empty if nothing is."""
    complaint = ""
    # YAML has no tuples.
    for candidate in (value, tuple(value)) if isinstance(value, list) else (value,):
        try:
            adapter.validate_python(candidate)
        except ValidationError as error:
            # YAML has none.
            wrongs = [wrong for wrong in error.errors() if wrong.get("ctx") != {"class": "Tensor"}]
            says = dict.fromkeys(_yaml_wording(wrong["msg"]) for wrong in wrongs or error.errors())
            complaint = f"must be {' or '.join(says)}"
        else:
            return ""
    return complaint
