"""``resume=``: from a run folder back to the command that made it, and to the state to go on from."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from gan_zoo.checks import at, first_difference
from gan_zoo.errors import CompositionError

FIXED = (
    *("model", "generator", "discriminator", "condition", "loss", "regularizer", "augment", "optim", "ema", "seed"),
    *("pack", "data.sample_shape", "data.batch_size"),
)
PATHS = ("data.root", "extractor.weights", "extractor.path")
"""Values that name files beside the run folder; they are kept as absolute paths."""
OWN_VARIABLES = ("GAN_ZOO_CACHE", "GAN_ZOO_DATA")
REFERENCE = re.compile(r"\$\{(?:oc\.env:(?:" + "|".join(OWN_VARIABLES) + r")(?:,[^${}]*)?|[\w.]+)\}")
NOT_THE_RUNS = ("resume", "run_dir", "trust", "other_data", "hydra")  # where it was, and how it was started
WITH_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p")
OVERRIDE = re.compile(r"(\+\+|\+|~)?(?P<key>\w[\w./@-]*)(=.*)?", re.DOTALL)


def expanded(arguments: Sequence[str]) -> list[str]:
    """The command line with what ``resume=RUN`` stands for: the run's overrides, under those given now, and its folder.

    Raises:
        CompositionError: if there is no such run.
    """
    arguments = [with_home(argument) for argument in arguments]
    wish = next((a.removeprefix("resume=") for a in reversed(arguments) if a.startswith("resume=")), "null")
    if wish in ("null", ""):
        return list(arguments)
    if wish == "auto":
        overrides, flags = apart(arguments)
        return [*flags, *overrides, *_folder_of_same_command(arguments)]
    path = Path(unquoted(wish)).expanduser().resolve()
    run = run_of(path)
    if not path.exists():
        raise CompositionError(f"resume must be auto, a run folder or a checkpoint, got {wish!r}, which does not exist")
    arguments = [f"resume={quoted(path)}" if argument.startswith("resume=") else argument for argument in arguments]
    if run is None:
        return arguments
    given = {key_of(argument) for argument in arguments}
    own = [override for override in recorded(run, "trust=true" in arguments) if key_of(override) not in given]
    place = [] if "hydra.run.dir" in given else [f"hydra.run.dir={quoted(run)}"]
    overrides, flags = apart(arguments)
    return [*flags, *own, *overrides, *place]


def apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides, and flags with their values: argparse takes overrides in one piece only."""
    overrides, flags = list[str](), list[str]()
    for before, argument in zip(["", *arguments], arguments, strict=False):
        (flags if argument.startswith("-") or before in WITH_VALUE else overrides).append(argument)
    return overrides, flags


def run_of(path: Path) -> Path | None:
    """The run folder that ``path`` is or lies in; None for a checkpoint elsewhere."""
    candidates = [path, *path.parents[:2]]
    return next((folder for folder in candidates if (folder / ".hydra" / "overrides.yaml").is_file()), None)


def with_home(argument: str) -> str:
    """An override whose value begins with ``~/`` with the home folder instead, which a shell does not put there."""
    key, equals, value = argument.partition("=")
    if not equals or not value.startswith("~/"):
        return argument
    return f"{key}={quoted(Path(value).expanduser())}"


def absolute(path: str) -> str:
    """``path`` as it is found from any folder."""
    return os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - keeps links, which may be moved


def with_absolute_values(overrides: Sequence[str]) -> list[str]:
    """The overrides with absolute paths where they name files beside the run folder."""
    kept = []
    for override in overrides:
        key, _, value = override.partition("=")
        is_path = key_of(override) in PATHS and value not in ("", "null") and "$" not in value
        kept.append(f"{key}={quoted(Path(absolute(unquoted(value))))}" if is_path else override)
    return kept


def recorded(run: Path, trust: bool = False) -> list[str]:
    """The overrides that made a run, without those that say where it is or how it was resumed.

    Args:
        run: its folder.
        trust: also take overrides that read the environment.

    Raises:
        CompositionError: if the record holds anything but overrides.
    """
    path = run / ".hydra" / "overrides.yaml"
    try:
        overrides = yaml.safe_load(path.read_text(encoding="utf-8")) or []  # type: ignore[no-untyped-call]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:  # type: ignore[attr-defined]
        raise CompositionError(f"{path} cannot be read") from error
    if not isinstance(overrides, list) or not all(isinstance(o, str) and OVERRIDE.fullmatch(o) for o in overrides):
        raise CompositionError(f"{path} must be a list of overrides like model=dcgan")
    own = [o for o in overrides if not key_of(o).startswith(NOT_THE_RUNS)]
    for override in own:
        if _leads_elsewhere(override):
            raise CompositionError(f"{path} is refused: {override!r} reaches for other files or for Hydra itself")
        if not trust and "${" in REFERENCE.sub("", override):
            raise CompositionError(
                f"{path} is refused: {override!r} would be resolved with what only this machine knows: add trust=true "
                "if you trust the run"
            )
    return own


def _leads_elsewhere(override: str) -> bool:
    """Whether an override chooses a file outside our configs, or puts a group where Hydra would build it."""
    from gan_zoo.compose import CONF

    key, value = key_of(override), override.partition("=")[2]
    group, _, package = key.partition("@")
    chooses_file = (CONF / group).is_dir()
    return ".." in key or "hydra" in package or (chooses_file and (".." in value or ":" in value or "/" in value))


def key_of(override: str) -> str:
    """What an override overrides: ``loss`` of ``+loss=hinge``."""
    match = OVERRIDE.fullmatch(override)
    return match["key"] if match else override


def quoted(path: Path | str) -> str:
    """A path or a text as a value of an override, whatever characters it has."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(path)).replace("${", r"\${")
    trailing = len(text) - len(text.rstrip("\\"))
    return "'" + text + "\\" * trailing + "'"


def unquoted(value: str) -> str:
    """A path as it stands in an override, quoted or not: the inverse of `quoted`."""
    if len(value) < 2 or value[0] not in "'\"" or value[-1] != value[0]:
        return value
    inner = re.sub(rf"(\\*)\\{value[0]}", lambda found: found[1][: len(found[1]) // 2] + value[0], value[1:-1])
    trailing = len(inner) - len(inner.rstrip("\\"))
    return (inner[: -(trailing // 2)] if trailing > 1 else inner).replace(r"\${", "${")


def _folder_of_same_command(arguments: Sequence[str]) -> list[str]:
    """The newest run in ``outputs`` that this very command made; nothing if the command names a folder or none did."""
    if any(argument in ("-m", "--multirun") or key_of(argument) == "hydra.run.dir" for argument in arguments):
        return []
    mine = [a for a in arguments if not a.startswith("-") and not key_of(a).startswith(NOT_THE_RUNS)]
    mine = with_absolute_values(mine)
    records = sorted(Path("outputs").glob("*/*/.hydra/overrides.yaml"), key=lambda path: path.stat().st_mtime)
    for record in reversed(records):
        with suppress(CompositionError):  # a record that cannot be used is not this command's
            if recorded(record.parents[1]) != mine:
                continue
            return [f"hydra.run.dir={quoted(record.parents[1])}"]
    return []


def checkpoint_to_resume(config: Mapping[str, Any]) -> Path | None:
    """The checkpoint that ``resume`` asks for, found good and made with this config; None to start afresh.

    Args:
        config: the resolved config: ``resume`` is null, ``auto``, a run folder or a checkpoint file.

    Raises:
        CompositionError: if it is missing, damaged or of another config, or a fresh start would overwrite a run.
    """
    from gan_zoo.store import Store, store_of

    wish, store = config["resume"], store_of(Path(config["run_dir"]))
    if wish is None:
        if store.entries():
            raise CompositionError(
                f"{config['run_dir']} has checkpoints already: go on from them with resume=auto, or choose another "
                "folder"
            )
        return None
    path: Path | None = Path(wish).expanduser().resolve()
    assert path is not None
    if wish == "auto":
        path = store.newest_good()
    elif path.is_dir():
        path = store_of(path).newest_good()
        if path is None:
            raise CompositionError(f"resume={wish} has no checkpoints")
    elif not path.is_file():
        raise CompositionError(f"resume must be auto, a run folder or a checkpoint, got {wish!r}, which does not exist")
    if path is not None and path.parent.resolve() != store.folder.resolve() and store.entries():
        raise CompositionError(f"{config['run_dir']} has checkpoints of its own: choose another hydra.run.dir")
    if path is not None:
        Store(path.parent).verify(path)
        saved = read_checkpoint(path)["gan_zoo"]["config"]
        for name in FIXED:
            then, now = (at(part, name) for part in (saved, config))
            if name == "optim":  # a longer run may stretch its schedule
                then, now = ({key: v for key, v in part.items() if key != "horizon"} for part in (then, now))
            if difference := first_difference(then, now, name):
                key, was, is_now = difference
                raise CompositionError(f"{path} cannot be continued with another config: {key} was {was}, is {is_now}")
    return path


def data_identity(source: Any, root: Any) -> dict[str, Any]:
    """What a checkpoint keeps of its data, to notice other ones: plain values.

    Args:
        source: the data set.
        root: where its files are, if it has any.
    """
    classes = None if source.classes is None else [str(name) for name in source.classes]
    return {
        "name": source.name,
        "root": None if root is None else absolute(str(root)),
        "num_samples": len(source),
        "classes": classes,
        "fingerprint": source.fingerprint,
    }


def check_same_data(saved: Mapping[str, Any] | None, now: Mapping[str, Any], remedy: str) -> None:
    """Raise `CompositionError` if the data are not those that a run was trained on; runs of old kept none.

    Args:
        saved, now: by `data_identity`.
        remedy: what to add to the command to use them all the same.
    """
    if saved is None or all(saved[key] == now[key] for key in ("fingerprint", "classes")):
        return
    words = {"num_samples": "it had {} samples", "classes": "its classes were {}"}
    changes = [text.format(saved[key]) for key, text in words.items() if saved[key] != now[key]]
    where = f"{now['name']}{'' if now['root'] is None else ' in ' + now['root']}"
    was = "; ".join(changes) or "its samples were others"
    if saved["root"] != now["root"]:
        was += f"; it was in {saved['root']}"
    raise CompositionError(f"data={where} is not what the run was trained on: {was}; to use it: {remedy}")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's plain data and tensors, the latter still on the disk; no code of the file's runs.

    Raises:
        CompositionError: if it is damaged or none of ours.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not {"config", "clock"} <= content["gan_zoo"].keys() or "state_dict" not in content:
            raise KeyError("gan_zoo")
    except pickle.UnpicklingError as error:
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise CompositionError(f"{path} is refused: it would run {code[1]} when opened") from error
        raise CompositionError(f"{path} is damaged or no checkpoint of gan_zoo") from error
    except Exception as error:  # what a damaged file makes torch raise is not foreseeable
        raise CompositionError(f"{path} is damaged or no checkpoint of gan_zoo") from error
    return content  # type: ignore[no-any-return]
