"""``resume=RUN`` on the command line: the run's own overrides under those given now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gan_zoo.core.errors import ConfigError
from gan_zoo.runs.overrides import (
    NOT_THE_RUNS,
    apart,
    key_of,
    quoted,
    recorded,
    run_of,
    unquoted,
    with_absolute_values,
    with_home,
)


def expanded(arguments: Sequence[str]) -> list[str]:
    """The command line with what ``resume=RUN`` stands for: the run's overrides, under those given now, and its folder.

    Raises:
        ConfigError: if there is no such run.
    """
    arguments = [with_home(argument) for argument in arguments]
    resume = next((a.removeprefix("resume=") for a in reversed(arguments) if a.startswith("resume=")), "null")
    if resume in ("null", ""):
        return list(arguments)
    if resume == "auto":
        overrides, flags = apart(arguments)
        return [*flags, *overrides, *_folder_of_same_command(arguments)]
    path = Path(unquoted(resume)).expanduser().resolve()
    run = run_of(path)
    if not path.exists():
        raise ConfigError(f"resume must be auto, a run folder or a checkpoint, got {resume!r}, which does not exist")
    arguments = [f"resume={quoted(path)}" if argument.startswith("resume=") else argument for argument in arguments]
    if run is None:
        return arguments
    given = {key_of(argument) for argument in arguments}
    own = [override for override in recorded(run, "trust=true" in arguments) if key_of(override) not in given]
    place = [] if "hydra.run.dir" in given else [f"hydra.run.dir={quoted(run)}"]
    overrides, flags = apart(arguments)
    return [*flags, *own, *overrides, *place]


def _folder_of_same_command(arguments: Sequence[str]) -> list[str]:
    """The newest run in ``outputs`` that this very command made; nothing if the command names a folder or none did."""
    if any(argument in ("-m", "--multirun") or key_of(argument) == "hydra.run.dir" for argument in arguments):
        return []
    mine = [a for a in arguments if not a.startswith("-") and not key_of(a).startswith(NOT_THE_RUNS)]
    mine = with_absolute_values(mine)
    records = sorted(Path("outputs").glob("*/*/.hydra/overrides.yaml"), key=lambda path: path.stat().st_mtime)
    for record in reversed(records):
        with suppress(ConfigError):  # a record that cannot be used is not this command's
            if recorded(record.parents[1]) != mine:
                continue
            return [f"hydra.run.dir={quoted(record.parents[1])}"]
    return []
