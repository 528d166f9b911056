"""What a config that came with somebody's run may instantiate."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from gan_zoo.errors import CompositionError

OURS = ("games", "networks", "losses", "regularizers", "terms", "data", "metrics", "callbacks", "schedules", "loggers")
DEFINING = (*(f"gan_zoo.{part}" for part in (*OURS, "strategies")), "torch.optim")
DEFINING += ("lightning.pytorch.callbacks", "lightning.pytorch.loggers", "lightning.pytorch.trainer.trainer")


def refuse_foreign(node: Any, conf: Path, remedy: str) -> None:
    """Raise `CompositionError` if a plain config names code that is neither ours, nor an optimizer, callback or logger.

    Args:
        node: the config, or a part of it.
        conf: the folder of our own configs, which name the functions that may be called.
        remedy: what to add to a command whose user trusts the run.
    """
    if isinstance(node, dict):
        if "_target_" in node and not is_trusted(node["_target_"], conf):
            raise CompositionError(
                f"the run's config would run {node['_target_']!r}, which is not part of gan_zoo: add {remedy} if you "
                "trust the run"
            )
        node = list(node.values())
    refuse_interpolations(node)
    if isinstance(node, list):
        for child in node:
            refuse_foreign(child, conf, remedy)


def refuse_interpolations(node: Any) -> None:
    """Raise `CompositionError` if a config from a file, which is resolved, holds text that would be resolved again."""
    if isinstance(node, str) and "${" in node:
        raise CompositionError(f"the run's config holds {node!r}, which is refused: it would be resolved once more")
    if isinstance(node, dict):
        node = [*node.keys(), *node.values()]
    if isinstance(node, list):
        for child in node:
            refuse_interpolations(child)


def is_trusted(target: Any, conf: Path) -> bool:
    """Whether ``target`` is a class that a trusted module defines, or a function that our own configs name."""
    if not isinstance(target, str):
        return False
    if target in _named_in(conf):
        return True
    module, _, name = target.rpartition(".")
    if not _within(module, (*DEFINING, "lightning.pytorch")):
        return False
    try:
        named = vars(importlib.import_module(module)).get(name)
    except ImportError:
        return False
    return inspect.isclass(named) and _within(named.__module__, DEFINING)


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@cache
def _named_in(conf: Path) -> frozenset[str]:
    files = (file.read_text() for file in conf.rglob("*.yaml"))
    return frozenset(target for text in files for target in re.findall(r"_target_:\s*([\w.]+)", text))
