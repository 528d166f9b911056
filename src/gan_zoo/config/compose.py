"""Configs: composed from the files in ``conf``, plain, and turned into objects. The one user of
Hydra's machinery.
"""

from __future__ import annotations

import glob
import importlib.util
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf

from gan_zoo.config import resolvers
from gan_zoo.config.help import defaults
from gan_zoo.config.messages import choices, format_error, is_usage_error, root_cause
from gan_zoo.config.suggestions import with_suggestions
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF, is_url
from gan_zoo.runs.overrides import override_key, quote_value

resolvers.register()


def to_dict(config: DictConfig) -> dict[str, Any]:
    """A config as plain containers, all interpolations resolved."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain  # type: ignore[no-any-return]


def from_dict(plain: Mapping[str, Any]) -> DictConfig:
    """A config again from what a checkpoint carries."""
    return OmegaConf.create(dict(plain))


def compose_overrides(overrides: Sequence[str]) -> DictConfig:
    """The config that these overrides compose.

    Raises:
        ConfigError: if they do not.
    """
    # What Hydra would complain about at length is found first.
    check_grammar(overrides)
    overrides = check_choices(with_suggestions(overrides))
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", list(overrides))
    except Exception as error:
        if not is_usage_error(error):
            raise
        raise ConfigError(format_error(error, CONF, overrides)) from error


def composed_without(key: str, overrides: Sequence[str]) -> Any:
    """The plain config of the command without its override of ``key``, or of its choices alone if
    that fails, too.
    """
    # Fewer overrides at each attempt: all others, then choices of files, then none.
    others = [
        override for override in overrides if "=" in override and override_key(override) != key
    ]
    chosen = [
        override
        for override in others
        if (CONF / override_key(override).partition("@")[0]).is_dir()
    ]

    # The first of these that composes.
    for kept in (others, chosen, []):
        try:
            with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
                return OmegaConf.to_container(hydra.compose("config", kept), resolve=False)
        except Exception:
            continue
    raise AssertionError("unreachable: the config composes without overrides")


def check_choices(arguments: Sequence[str]) -> list[str]:
    """The arguments without choices of nothing where that is the default anyway, such as
    ``debug=null``.

    Raises:
        ConfigError: naming a group that must have a choice.
    """
    kept = []
    for argument in arguments:
        key, _, value = argument.partition("=")

        # In these two groups null takes something away.
        if value != "null" or not (CONF / key).is_dir() or key in ("regularizer", "metric"):
            kept.append(argument)
        elif f"{key}=None" not in defaults(CONF):
            raise ConfigError(f"{key} must be one of {', '.join(choices(key, CONF))}, got null")
    return kept


def check_grammar(overrides: Sequence[str]) -> None:
    """Raise `ConfigError` naming an override whose value Hydra's grammar cannot read, with the
    quotes it needs.
    """
    parser = OverridesParser.create()
    for override in overrides:
        if "=" not in override:  # a deletion, or the value of a flag
            continue
        try:
            parser.parse_override(override)
        except HydraException:
            key, _, value = override.partition("=")
            # Quoted for Hydra's grammar, and once more for the shell.
            typed = shlex.quote(f"{key}={quote_value(value)}")
            raise ConfigError(
                f"{override} cannot be read, as some characters of the value have a meaning of"
                f" their own; as plain text it is {typed}"
            ) from None


def check_local(overrides: Sequence[str]) -> None:
    """Raise `ConfigError` for a run or sweep that would be written to a URL.

    Locks, atomic renames and resuming need a file system; Hydra would make a folder ``s3:``.
    """
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key in ("run_dir", "hydra.run.dir", "hydra.sweep.dir") and is_url(value):
            raise ConfigError(
                f"{key} must be a folder of this machine, got {value}: mount the storage, or copy"
                " the folder to it"
            )


def reach_own_parts(config: Any) -> None:
    """Let ``_target_`` find modules in the current folder that are nowhere else, without shadowing
    any that are.
    """
    if isinstance(config, dict):
        target = config.get("_target_")
        # The folder comes last, and only for a package that is found nowhere else.
        if isinstance(target, str) and str(Path.cwd()) not in sys.path:
            package = target.split(".")[0]
            if importlib.util.find_spec(package) is None and list(
                Path.cwd().glob(f"{glob.escape(package)}*")
            ):
                sys.path.append(str(Path.cwd()))
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            reach_own_parts(part)


def get_object(target: str) -> Callable[..., Any]:
    """The class or function of this name."""
    try:
        found: Callable[..., Any] = hydra.utils.get_object(target)
    except Exception as error:
        # A missing package is not the same as code that fails while it is imported.
        package = target.partition(".")[0]
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"_target_ {target}: there is no module {package!r} here; parts of your own are"
                f" found in the current folder, {Path.cwd()}, or on PYTHONPATH"
            ) from error
        raise ConfigError(
            f"_target_ {target} cannot be imported: {' '.join(str(error).split())}"
        ) from error
    return found


def instantiate(node: Any, **kwargs: Any) -> Any:
    """The one way from a config node to an object: plain Python containers, never a ``DictConfig``.

    What a constructor raises comes through as it is.
    """
    if node is None:
        return None
    try:
        return hydra.utils.instantiate(node, **kwargs, _convert_="all")
    except InstantiationException as error:
        cause = root_cause(error)
        # A custom network that assigns its layers before it calls super().__init__().
        if isinstance(cause, AttributeError) and "before Module.__init__() call" in str(cause):
            raise ConfigError(
                f"{node.get('_target_')}.__init__ must begin with super().__init__()"
            ) from error
        # The constructor's error, without Hydra's around it.
        raise cause from None


def instantiate_each(group: DictConfig | None) -> list[Any]:
    """The objects of a group of named nodes, in order; null nodes are left out."""
    return [instantiate(node) for node in (group or {}).values() if node is not None]
