"""``resume=``: from a run folder back to the command that made it, and to the state to go on
from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import LOCAL, is_url
from gan_zoo.runs.folder import RunFolder

PATHS = ("init", "data.root", "data.test_root", "extractor.weights", "extractor.path")
"""Values that name files beside the run folder; they are kept as absolute paths."""
OWN_VARIABLES = ("GAN_ZOO_CACHE", "GAN_ZOO_DATA")
REFERENCE = re.compile(
    r"\$\{(?:oc\.env:(?:" + "|".join(OWN_VARIABLES) + r")(?:,[^${}]*)?|[\w.]+)\}"
)
# Where it was, and how it was started.
NOT_RECORDED = (
    "resume",
    "run_dir",
    "trust",
    "other_data",
    "hydra",
)
FLAGS_WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p"),
    *("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"),
)
OVERRIDE = re.compile(r"(\+\+|\+|~)?(?P<key>\w[\w./@-]*)(=.*)?", re.DOTALL)


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides, and flags with their values: argparse takes overrides in one piece only."""
    overrides, flags = list[str](), list[str]()
    for before, argument in zip(["", *arguments], arguments, strict=False):
        (flags if argument.startswith("-") or before in FLAGS_WITH_VALUE else overrides).append(
            argument
        )
    return overrides, flags


def find_run(path: Path) -> RunFolder | None:
    """The run folder that ``path`` is or lies in; None for a checkpoint elsewhere."""
    candidates = [RunFolder(folder) for folder in (path, *path.parents[:2])]
    return next((run for run in candidates if run.is_run), None)


def with_home(argument: str) -> str:
    """An override whose value begins with ``~/`` with the home folder instead, which a shell does
    not put there.
    """
    key, equals, value = argument.partition("=")
    if not equals or not value.startswith("~/"):
        return argument
    return f"{key}={quote_value(Path(value).expanduser())}"


def absolute(path: str) -> str:
    """``path`` as it is found from any folder; a URL as it is."""
    if path.startswith(LOCAL):
        return LOCAL + absolute(path.removeprefix(LOCAL))
    if is_url(path):
        return path
    return os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - keeps links, which may be moved


def with_absolute_values(overrides: Sequence[str]) -> list[str]:
    """The overrides with absolute paths where they name files beside the run folder."""
    kept = []
    for override in overrides:
        key, _, value = override.partition("=")
        is_path = override_key(override) in PATHS and value not in ("", "null") and "$" not in value
        kept.append(f"{key}={quote_value(absolute(unquote_value(value)))}" if is_path else override)
    return kept


def read_overrides(run: RunFolder) -> list[str]:
    """The overrides that made a run, without those that say where it is or how it was resumed: for
    people to read, as nothing in them has been checked.

    Raises:
        ConfigError: if the record holds anything but overrides.
    """
    # The file may have been changed: it must hold overrides and nothing else.
    overrides = run.config("overrides") or []
    if not isinstance(overrides, list) or not all(
        isinstance(o, str) and OVERRIDE.fullmatch(o) for o in overrides
    ):
        path = run.config_file("overrides")
        raise ConfigError(f"{path} must be a list of overrides like model=dcgan")
    return [o for o in overrides if not override_key(o).startswith(NOT_RECORDED)]


def recorded_overrides(run: RunFolder, trust: bool = False) -> list[str]:
    """The overrides that made a run, which may be composed again, see `read_overrides`.

    Args:
        run: its folder.
        trust: also take overrides that read the environment.

    Raises:
        ConfigError: if the record holds anything but overrides, or is not to be trusted.
    """
    # None may reach beyond our configs, or be resolved with what this machine knows.
    path = run.config_file("overrides")
    own = read_overrides(run)
    for override in own:
        if _escapes_config(override):
            raise ConfigError(
                f"{path} is refused: {override!r} reaches for other files or for Hydra itself"
            )
        if not trust and "${" in REFERENCE.sub("", override):
            raise ConfigError(
                f"{path} is refused: {override!r} would be resolved with what only this machine"
                " knows: add trust=true if you trust the run"
            )
    return own


def _escapes_config(override: str) -> bool:
    """Whether an override chooses a file outside our configs, or puts a group where Hydra would
    build it.
    """
    from gan_zoo.core.paths import CONF

    key, value = override_key(override), override.partition("=")[2]
    group, _, package = key.partition("@")
    chooses_file = (CONF / group).is_dir()
    return (
        ".." in key
        or "hydra" in package
        or (chooses_file and (".." in value or ":" in value or "/" in value))
    )


def override_key(override: str) -> str:
    """What an override overrides: ``loss`` of ``+loss=hinge``."""
    match = OVERRIDE.fullmatch(override)
    return match["key"] if match else override


def quote_value(path: Path | str) -> str:
    """A path or a text as a value of an override, whatever characters it has."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(path)).replace("${", r"\${")
    trailing = len(text) - len(text.rstrip("\\"))
    return "'" + text + "\\" * trailing + "'"


def unquote_value(value: str) -> str:
    """A path as it stands in an override, quoted or not: the inverse of `quote_value`."""
    if len(value) < 2 or value[0] not in "'\"" or value[-1] != value[0]:
        return value
    inner = re.sub(
        rf"(\\*)\\{value[0]}", lambda found: found[1][: len(found[1]) // 2] + value[0], value[1:-1]
    )
    # At the end of a quoted value backslashes are doubled, as the quote comes after them.
    trailing = len(inner) - len(inner.rstrip("\\"))
    return (inner[: -(trailing // 2)] if trailing > 1 else inner).replace(r"\${", "${")


UNNAMED = (
    *("model", "loss", "data", "seed", "run_dir", "resume", "tags"),
    *("init", "trust", "other_data", "data.root"),
)
UNNAMED_GROUPS = ("logger", "trainer", "callbacks", "hydra", "launcher")
"""Overrides that say where, how long and with which output a run runs: its name leaves them out."""
UNSET = ("model", "loss", "data", "seed", "run_dir", "resume", "tags", "trust", "other_data")
UNSET_GROUPS = ("logger", "callbacks", "hydra", "launcher")
"""Overrides that change no result, or that have columns of their own: a setting leaves them out."""
LONGEST_NAME = 120
"""Of a run's name, in characters before the seed."""


def describe_overrides(first: str, overrides: Sequence[str], seed: int) -> str:
    """A name for people of a run of these overrides: ``dcgan-hinge-mnist-width=64-s1``.

    Args:
        first: what it begins with, the run's model, loss and data.
        overrides: of the command; `UNNAMED` and `UNNAMED_GROUPS` are left out.
        seed: of the run.
    """
    parts = described(overrides, UNNAMED, UNNAMED_GROUPS)
    return f"{'-'.join([first, *parts])[:LONGEST_NAME]}-s{seed}"


def describe_setting(first: str, overrides: Sequence[str]) -> str:
    """What runs of several seeds have in common: ``dcgan-hinge-mnist-width=64``.

    Args:
        first: what it begins with, the run's model, loss and data.
        overrides: of the command; `UNSET` and `UNSET_GROUPS` are left out.
    """
    return "-".join([first, *described(overrides, UNSET, UNSET_GROUPS)])


def described(
    overrides: Sequence[str], left_out: Sequence[str], groups_left_out: Sequence[str]
) -> list[str]:
    """The overrides for people, ``width=64`` of ``generator.width=64``, but those of these keys and
    groups.
    """
    parts = []
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        group = key.partition("@")[0].partition("/")[0].partition(".")[0]
        if key not in left_out and group not in groups_left_out:
            parts.append(f"{'.'.join(key.split('.')[-2:])}={value}")
    return parts
