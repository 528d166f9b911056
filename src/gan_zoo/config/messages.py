"""One clear line for what a user can put right; tracebacks for what is a bug."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from gan_zoo.core.errors import ConfigError, DataError, TrainingDiverged

BUILDING_ERRORS = (
    ValueError,
    TypeError,
    OSError,
    MemoryError,
    OverflowError,
    ImportError,
    HydraException,
    OmegaConfBaseException,
)


SLURM_MISSING = 'Could not detect "srun"'
# No server, no key: by name, as wandb is imported only when used.
WANDB_ERRORS = (
    "CommError",
    "AuthenticationError",
)


UNWRITABLE = (
    *(
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOTDIR,
        errno.EISDIR,
    ),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)


def is_unwritable(error: BaseException) -> bool:
    """Whether ``error`` is about a place that cannot be read or written."""
    return isinstance(error, OSError) and error.errno in UNWRITABLE and error.filename is not None


def setting_of(path: Path) -> str:
    """What moves the file ``path`` elsewhere."""
    from gan_zoo.core.paths import cache_root

    if path.is_relative_to(cache_root()):
        return "set GAN_ZOO_CACHE to a folder that can be written"
    return "choose another folder, for a run with hydra.run.dir=FOLDER, for results with --out"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch found no memory for a tensor, on a GPU or on the host."""
    on_gpu = type(error).__name__ == "OutOfMemoryError"
    return on_gpu or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def is_usage_error(error: BaseException, building: bool = False) -> bool:
    """Whether the user can put ``error`` right by changing the command.

    While objects are being built that is any complaint about arguments; later only errors made for
    users are.
    """
    # While objects are built: complaints about arguments, and sizes that cannot be allocated.
    if building:
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        too_large = isinstance(error, RuntimeError) and "allocate" in str(error)
        return too_large or isinstance(error, (*BUILDING_ERRORS, MisconfigurationException))

    # Later: errors that are made for users, by us and by libraries.
    made_for_users = (
        ConfigError,
        DataError,
        TrainingDiverged,
        HydraException,
        OmegaConfBaseException,
    )
    of_wandb = type(error).__name__ in WANDB_ERRORS
    return (
        is_unwritable(error)
        or is_out_of_memory(error)
        or isinstance(error, made_for_users)
        or of_wandb
        or SLURM_MISSING in str(error)
    )


RESOLVING = "raised while resolving interpolation: "  # in OmegaConf's messages
NEAR_BY_KIND = {
    r"style": "stylegan2",
    r"pro(gressive)?_?gan": "pggan",
    r"fast_?gan": "projected_gan",
    r"vit|trans": "gat",
    r"diffusion": "dcgan with augment=diffusion",
    r"star": "stargan",
    r"gaugan": "spade",
    r"adversarial_auto": "aae",
    r"ali|alae": "bigan",
    r"wgan|lsgan|rgan|rsgan|ebgan|began|dragan|fisher": "a loss: model=dcgan loss=...",
}
"""What to try for models that are not here, by the beginning of their names."""


def format_error(error: BaseException, conf: Path, overrides: Sequence[str] = ()) -> str:
    """One line: what was wrong, what is allowed, what came.

    Args:
        error: what was raised.
        conf: the folder of the configs.
        overrides: of the command, from which the keys that there are can be found.
    """
    # The innermost error says what was wrong.
    cause = root_cause(error)
    message = str(cause) or type(cause).__name__
    if RESOLVING in message:  # an error of ours inside a resolver
        message = message.partition(RESOLVING)[2].partition("full_key:")[0]

    # Hydra's complaints become what there is instead.
    if option := re.search(r"Could not (?:find|load) '?([\w/.]+)'?", message):
        return unknown_option(option.group(1), conf)
    if key := re.search(r"Could not override '([^']+)'", str(error)):
        from gan_zoo.config.compose import composed_without

        return unknown_key(key.group(1), composed_without(key.group(1), overrides))

    # Errors of the file system and of services come with advice.
    if isinstance(cause, OSError) and is_unwritable(cause):
        place = Path(os.fsdecode(cause.filename))
        message = f"{place}: {os.strerror(cause.errno or 0).lower()}; {setting_of(place)}"
    if type(cause).__name__ in WANDB_ERRORS:
        message += ": start the server or set logger.wandb.offline=true, and wandb sync later"
    if SLURM_MISSING in message:
        message = (
            "launcher=slurm submits with SLURM's commands, and there is no srun here: try"
            " launcher=local"
        )

    # Sizes beyond the memory, however Python and torch report them.
    if isinstance(cause, (MemoryError, OverflowError)) or is_out_of_memory(cause):
        message = (
            f"there is not enough memory for these sizes ({' '.join(message.split())[:120]}):"
            " smaller widths or data.batch_size, or accumulate="
        )
    return " ".join(message.split())


def root_cause(error: BaseException) -> BaseException:
    """What Hydra wrapped, if it wrapped anything."""
    while (
        isinstance(error, (HydraException, OmegaConfBaseException)) and error.__cause__ is not None
    ):
        error = error.__cause__
    return error


def choices(group: str, conf: Path) -> list[str]:
    """What can be chosen for a config group."""
    return sorted(
        file.stem for file in (conf / group).glob("*.yaml") if not file.stem.startswith("_")
    )


def unknown_option(option: str, conf: Path) -> str:
    """What exists instead of ``group/name``."""
    group, _, name = option.rpartition("/")
    existing = choices(group, conf)
    if not existing:
        return f"there is no config file {option!r}"
    hint = did_you_mean(name, existing) or (related(name) if group == "model" else "")
    return f"{group} must be one of {', '.join(existing)}, got {name!r}{hint}"


def unknown_key(key: str, config: Any) -> str:
    """What exists instead of a dotted key.

    Args:
        key: is not in ``config``.
        config: composed of everything else in the command, plain containers.
    """
    # What there is at this level, and where else there is a key of this name.
    parent, _, name = key.rpartition(".")
    existing = sorted(
        str(k) for k in keys_under(config, parent) if k not in ("_target_", "_partial_")
    )
    same_name = [path for path in dotted_keys(config) if path.rpartition(".")[2] == name]

    # The same name elsewhere is a better hint than a similar one here.
    hint = did_you_mean(name, existing)
    if same_name:
        hint = f" (did you mean {' or '.join(same_name[:3])}?)"
    where = f"in {parent}" if parent else "at the top"
    listed = f"; {where} there are {', '.join(existing)}" if existing else ""
    return f"there is no key {key!r}{hint}{listed}; to add one write +{key}=..."


def keys_under(config: Any, parent: str) -> list[Any]:
    """The keys below the dotted name ``parent``; none where there is no group."""
    for part in parent.split(".") if parent else ():
        config = config.get(part) if isinstance(config, dict) else None
    return list(config) if isinstance(config, dict) else []


def dotted_keys(config: Any, name: str = "") -> list[str]:
    """The dotted names of all values that a user would set; what data functions are handed comes
    from above them.
    """
    # The path so far is part of each key below.
    if not isinstance(config, dict):
        return [name]
    below = {f"{name}.{key}" if name else str(key): child for key, child in config.items()}
    return [
        found
        for key, child in below.items()
        if key != "data.source"
        for found in dotted_keys(child, key)
    ]


def alike(name: str) -> str:
    """What is compared of a model's name: nearly all of them end in ``gan``."""
    return name.replace("gan", "") or name


def related(name: str) -> str:
    """What is near by kind to a model that is not here, or nothing."""
    near = next((near for pattern, near in NEAR_BY_KIND.items() if re.match(pattern, name)), None)
    return "" if near is None else f" (of the same kind there is {near})"


def did_you_mean(name: str, existing: list[str]) -> str:
    """A suggestion in brackets, or nothing."""
    # A name that is nearly the same comes before one with a similar stem.
    if same := difflib.get_close_matches(name, existing, n=1, cutoff=0.85):
        return f" (did you mean {same[0]!r}?)"
    by_stem = {alike(option): option for option in existing}
    close = difflib.get_close_matches(alike(name), by_stem, n=1)
    return f" (did you mean {by_stem[close[0]]!r}?)" if close else ""
