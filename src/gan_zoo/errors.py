"""One clear line for what a user can put right; tracebacks for what is a bug."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException


class CompositionError(ValueError):
    """The parts of a config do not fit together; the message says what to change."""


BUILDING_ERRORS = (ValueError, TypeError, OSError, ImportError, HydraException, OmegaConfBaseException)


NO_SLURM = 'Could not detect "srun"'
OF_WANDB = ("CommError", "AuthenticationError")  # no server, no key: by name, as wandb is imported only when used


def is_usage_error(error: BaseException, building: bool = False) -> bool:
    """Whether the user can put ``error`` right by changing the command.

    While objects are being built that is any complaint about arguments; later only errors made for users are.
    """
    if building:
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        return isinstance(error, (*BUILDING_ERRORS, MisconfigurationException))
    names = {cls.__name__ for cls in type(error).__mro__}
    return (
        isinstance(error, (CompositionError, HydraException, OmegaConfBaseException))
        or bool(names & {"DataError", "TrainingDiverged", *OF_WANDB})
        or NO_SLURM in str(error)
    )


def explain(error: BaseException, conf: Path) -> str:
    """One line: what was wrong, what is allowed, what came."""
    cause = innermost(error)
    message = str(cause) or type(cause).__name__
    if option := re.search(r"Could not (?:find|load) '?([\w/.]+)'?", message):
        return unknown_option(option.group(1), conf)
    if key := re.search(r"Could not override '([^']+)'", str(error)):
        return unknown_key(key.group(1), conf)
    if type(cause).__name__ in OF_WANDB:
        message += ": start the server or set logger.wandb.offline=true, and wandb sync later"
    if NO_SLURM in message:
        message = "launcher=slurm submits with SLURM's commands, and there is no srun here: try launcher=local"
    return " ".join(message.split())


def innermost(error: BaseException) -> BaseException:
    """What Hydra wrapped, if it wrapped anything."""
    while isinstance(error, (HydraException, OmegaConfBaseException)) and error.__cause__ is not None:
        error = error.__cause__
    return error


def choices(group: str, conf: Path) -> list[str]:
    """What can be chosen for a config group."""
    return sorted(file.stem for file in (conf / group).glob("*.yaml") if not file.stem.startswith("_"))


def unknown_option(option: str, conf: Path) -> str:
    """What exists instead of ``group/name``."""
    group, _, name = option.rpartition("/")
    existing = choices(group, conf)
    if not existing:
        return f"there is no config file {option!r}"
    return f"{group} must be one of {', '.join(existing)}, got {name!r}{did_you_mean(name, existing)}"


def unknown_key(key: str, conf: Path) -> str:
    """What exists instead of a dotted key."""
    groups = sorted(folder.name for folder in conf.iterdir() if folder.is_dir())
    parent, _, name = key.rpartition(".")
    existing = keys_below(parent, groups, conf)
    where = f"in {parent}" if parent else "at the top"
    hint = did_you_mean(name, existing)
    listed = f"; {where} there are {', '.join(existing)}" if existing else ""
    return f"there is no key {key!r}{hint}{listed}; to add one write +{key}=..."


def keys_below(parent: str, groups: list[str], conf: Path) -> list[str]:
    """The keys that files of the config define below the dotted name ``parent``."""
    root = OmegaConf.load(conf / "config.yaml")
    if not parent:
        return sorted({str(k) for k in root if k not in ("defaults", "hydra")} | set(groups))
    group, _, rest = parent.partition(".")
    found: set[str] = set()
    for file in [conf / "config.yaml", *(conf / group).glob("*.yaml")]:
        content = OmegaConf.load(file)
        node = (
            OmegaConf.select(content, parent if file.stem == "config" else rest)
            if rest or file.stem == "config"
            else content
        )
        if OmegaConf.is_dict(node):
            found |= {str(k) for k in node if k != "defaults"}
    return sorted(found)


def did_you_mean(name: str, existing: list[str]) -> str:
    """A suggestion in brackets, or nothing."""
    close = difflib.get_close_matches(name, existing, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
