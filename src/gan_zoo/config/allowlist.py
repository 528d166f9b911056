"""What a config that came with somebody's run may instantiate."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from gan_zoo.core.errors import ConfigError

PLACE = re.compile(r"(^|[._])(path|folder|dir|dirpath|file|filename|root|uri)$")
"""Keys that say where something is written."""
OF_MODELS = (
    "models",
    "networks",
    "augmentation",
    "losses",
    "regularizers",
    "auxiliary_losses",
    "training.lr_schedules",
)
OWN_PACKAGES = (*OF_MODELS, "data", "metrics", "callbacks", "loggers", "training.strategy")
ALLOWED_MODULES = (*(f"gan_zoo.{part}" for part in OWN_PACKAGES), "torch.optim")
ALLOWED_MODULES += (
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.trainer.trainer",
)


def check_targets(node: Any, conf: Path, remedy: str) -> None:
    """Raise `ConfigError` if a plain config names code that is neither ours, nor an optimizer,
    callback or logger.

    Args:
        node: the config, or a part of it.
        conf: the folder of our own configs, which name the functions that may be called.
        remedy: what to add to a command whose user trusts the run.
    """
    if isinstance(node, dict):
        if "_target_" in node and not is_trusted(node["_target_"], conf):
            raise ConfigError(
                f"the run's config would run {node['_target_']!r}, which is not part of gan_zoo:"
                f" add {remedy} if you trust the run"
            )
        node = list(node.values())
    # Text that is resolved once more could still become a target.
    check_no_interpolations(node)
    if isinstance(node, list):
        for child in node:
            check_targets(child, conf, remedy)


def check_kinds(node: Any, group: str, remedy: str) -> None:
    """Raise `ConfigError` if the config of a model names what is no part of one: nothing it builds
    may read, write or fetch.

    Args:
        node: the config of ``group``.
        group: what it is called.
        remedy: what to add to a command whose user trusts the run.
    """
    # What is built here must be of the packages that models are made of.
    if isinstance(node, dict):
        target = node.get("_target_")
        if target is not None and not _in_packages(
            str(target), (*(f"gan_zoo.{part}" for part in OF_MODELS), "torch.optim")
        ):
            raise ConfigError(
                f"{group} names {target!r}, which is no part of a model: add {remedy} if you"
                " trust it"
            )
        node = list(node.values())

    # Then the same for everything inside.
    if isinstance(node, list):
        for child in node:
            check_kinds(child, group, remedy)


def check_reads_nothing(data: Any, remedy: str) -> None:
    """Raise `ConfigError` if the config of data from outside names files or a download, also in its
    parts.
    """
    # Keys by which data functions find files.
    for name, value in _leaves(data, "data"):
        if value and name.rpartition(".")[2] in (
            "root",
            "path",
            "folder",
            "source_folder",
            "csv",
            "download",
        ):
            raise ConfigError(
                f"requests need the data of the model, and {name}={value} would read them here: add"
                f" {remedy} if you trust it"
            )


def check_no_paths(config: dict[str, Any], remedy: str) -> None:
    """Raise `ConfigError` if a run's config would write outside the run folder, whatever the key is
    called.

    Looked at are all parts that write: callbacks, loggers, and the trainer with its profiler.

    Args:
        config: the resolved config, plain containers.
        remedy: what to add to a command whose user trusts the run.
    """
    run_dir = Path(config["run_dir"]).resolve()

    # Only these groups write files.
    for group in ("callbacks", "logger", "trainer"):
        for name, value in _texts(config[group], group):
            leads_out = not Path(value).expanduser().resolve().is_relative_to(run_dir)
            if leads_out and (PLACE.search(name) or re.search(r"[/\\~]|^\.\.", value)):
                raise ConfigError(
                    f"{name}={value} lies outside the run folder: add {remedy} if you trust the run"
                )


def _texts(node: Any, name: str) -> list[tuple[str, str]]:
    """All texts below ``node`` but the names of code, each with its dotted name."""
    return [(key, value) for key, value in _leaves(node, name) if isinstance(value, str) and value]


def _leaves(node: Any, name: str) -> list[tuple[str, Any]]:
    """All values below ``node`` but the names of code, each with its dotted name."""
    # A target is the name of code, not a value.
    if isinstance(node, dict):
        return [
            found
            for key, child in node.items()
            if key != "_target_"
            for found in _leaves(child, f"{name}.{key}")
        ]
    if isinstance(node, list):
        return [found for child in node for found in _leaves(child, name)]
    return [(name, node)]


def check_no_interpolations(node: Any) -> None:
    """Raise `ConfigError` if a config from a file, which is resolved, holds text that would be
    resolved again.
    """
    # Text with an interpolation is refused at any depth, also as a key.
    if isinstance(node, str) and "${" in node:
        raise ConfigError(
            f"the run's config holds {node!r}, which is refused: it would be resolved once more"
        )
    if isinstance(node, dict):
        node = [*node.keys(), *node.values()]
    if isinstance(node, list):
        for child in node:
            check_no_interpolations(child)


def is_trusted(target: Any, conf: Path) -> bool:
    """Whether ``target`` is a class that a trusted module defines, or a function that our own
    configs name.
    """
    if not isinstance(target, str):
        return False
    if target in _targets_in(conf):
        return True

    # Otherwise it is a class, which an allowed module must define, wherever it is imported from.
    module, _, name = target.rpartition(".")
    if not _in_packages(module, (*ALLOWED_MODULES, "lightning.pytorch")):
        return False
    try:
        named = vars(importlib.import_module(module)).get(name)
    except ImportError:
        return False
    return inspect.isclass(named) and _in_packages(named.__module__, ALLOWED_MODULES)


def _in_packages(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@cache
def _targets_in(conf: Path) -> frozenset[str]:
    files = (file.read_text() for file in conf.rglob("*.yaml"))
    return frozenset(
        target for text in files for target in re.findall(r"_target_:\s*([\w.]+)", text)
    )
