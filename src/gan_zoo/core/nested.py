"""Values in nested plain containers by dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def get_dotted(config: Any, name: str) -> Any:
    """The value under a dotted name, None where there is none."""
    for part in name.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def first_difference(first: Any, second: Any, name: str) -> tuple[str, Any, Any] | None:
    """The first value that differs between two plain containers: its dotted name below ``name``,
    and both values.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted({*first, *second}, key=str):
            below = f"{name}.{key}" if name else str(key)
            if difference := first_difference(first.get(key), second.get(key), below):
                return difference
        return None
    return None if first == second else (name, first, second)
