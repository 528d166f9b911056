"""What a config must satisfy before anything is built; on plain containers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gan_zoo.errors import CompositionError


def check_complete(config: Any) -> None:
    """Raise `CompositionError` naming a value that only the user can give; of a config that is not resolved yet."""
    missing = sorted(_missing(config), key=len)
    if missing:
        raise CompositionError(f"{missing[0]} must be given: add {missing[0]}=...")


def _missing(node: Any, name: str = "") -> list[str]:
    if isinstance(node, dict):
        return [
            found for key, value in node.items() for found in _missing(value, f"{name}.{key}" if name else str(key))
        ]
    return [name] if node == "???" else []


def check_whole_numbers(config: Mapping[str, Any]) -> None:
    """Raise `CompositionError` naming a number that Lightning or torch would only trip over."""
    for name, least in {"seed": 0, "trainer.max_steps": -1, "trainer.log_every_n_steps": 1}.items():
        value = at(config, name)
        if not isinstance(value, int) or value < least:
            raise CompositionError(f"{name} must be a whole number >= {least}, got {value!r}")


def check_precision(precision: Any) -> None:
    """Raise `CompositionError` for float16, whose loss scaling does not fit two players that step in turns."""
    if str(precision).startswith("16"):
        raise CompositionError(f"trainer.precision must be 32-true or bf16-mixed, got {precision!r}")


def check_divergence(divergence: Any) -> None:
    """Raise `CompositionError` unless ``divergence`` says how often to go back, and by what factor to slow down."""
    if not isinstance(divergence, Mapping) or not {"retries", "factor"} <= divergence.keys():
        raise CompositionError(f"divergence must have retries and factor, got {divergence!r}")
    retries, factor = divergence["retries"], divergence["factor"]
    if not isinstance(retries, int) or retries < 0:
        raise CompositionError(f"divergence.retries must be a whole number >= 0, got {retries!r}")
    if not isinstance(factor, (int, float)) or not 0 < factor < 1:
        raise CompositionError(f"divergence.factor must be between 0 and 1, got {factor!r}")


def at(config: Any, name: str) -> Any:
    """The value under a dotted name, None where there is none."""
    for part in name.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def first_difference(then: Any, now: Any, name: str) -> str | None:
    """The first value that differs between two plain containers, in words."""
    if isinstance(then, dict) and isinstance(now, dict):
        inner = (
            first_difference(then.get(key), now.get(key), f"{name}.{key}") for key in sorted({*then, *now}, key=str)
        )
        return next((difference for difference in inner if difference), None)
    return None if then == now else f"{name} was {then}, is {now}"


def refuse_processes_in_multirun(config: Mapping[str, Any]) -> None:
    """Raise `CompositionError` where Lightning's process launcher would run the whole sweep again in each process."""
    started_outside = "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ
    devices = config["trainer"].get("devices", 1)
    if devices not in (1, "1", "auto") and not started_outside:
        raise CompositionError(
            f"jobs of this launcher have a single process, got trainer.devices={devices}: use launcher=local, which "
            "gives each job processes of its own"
        )
