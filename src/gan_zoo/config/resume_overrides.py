"""``resume=RUN`` on the command line: the run's own overrides under those given now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gan_zoo.core.errors import ConfigError
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import (
    NOT_RECORDED,
    find_run,
    override_key,
    quote_value,
    recorded_overrides,
    split_flags,
    unquote_value,
    with_absolute_values,
    with_home,
)


def expand_resume(arguments: Sequence[str]) -> list[str]:
    """The command line with what ``resume=RUN`` stands for: the run's overrides, under those given
    now, and its folder.

    Raises:
        ConfigError: if there is no such run.
    """
    # The last resume= of the command counts.
    arguments = [with_home(argument) for argument in arguments]
    resume = next(
        (a.removeprefix("resume=") for a in reversed(arguments) if a.startswith("resume=")), "null"
    )

    # Without a run to name, this command starts a new run or goes on where it was.
    if resume in ("null", ""):
        return list(arguments)
    if resume == "auto":
        overrides, flags = split_flags(arguments)
        return [*flags, *overrides, *_latest_run_of_same_command(arguments)]

    # A run folder or a checkpoint, from here on by its absolute path.
    path = Path(unquote_value(resume)).expanduser().resolve()
    run = find_run(path)
    if not path.exists():
        raise ConfigError(
            f"resume must be auto, a run folder or a checkpoint, got {resume!r}, which does not"
            " exist"
        )
    arguments = [
        f"resume={quote_value(path)}" if argument.startswith("resume=") else argument
        for argument in arguments
    ]
    if run is None:
        return arguments

    # Overrides that are given now replace those of the run.
    given = {override_key(argument) for argument in arguments}
    own = [
        override
        for override in recorded_overrides(run, "trust=true" in arguments)
        if override_key(override) not in given
    ]

    # The run goes on in its own folder, unless another one is given.
    place = [] if "hydra.run.dir" in given else [f"hydra.run.dir={quote_value(run.path)}"]
    overrides, flags = split_flags(arguments)
    return [*flags, *own, *overrides, *place]


def _latest_run_of_same_command(arguments: Sequence[str]) -> list[str]:
    """The newest run in ``outputs`` that this very command made; nothing if the command names a
    folder or none did.
    """
    # Commands that name a folder, and multiruns, need no search.
    if any(
        argument in ("-m", "--multirun") or override_key(argument) == "hydra.run.dir"
        for argument in arguments
    ):
        return []

    # Overrides are compared in the form in which runs record them.
    mine = [
        a
        for a in arguments
        if not a.startswith("-") and not override_key(a).startswith(NOT_RECORDED)
    ]
    mine = with_absolute_values(mine)

    # The newest run with the same ones.
    runs = [run for run in map(RunFolder, Path("outputs").glob("*/*")) if run.is_run]
    runs.sort(key=lambda run: run.config_file("overrides").stat().st_mtime)
    for run in reversed(runs):
        with suppress(ConfigError):  # a record that cannot be used is not this command's
            if recorded_overrides(run) == mine:
                return [f"hydra.run.dir={quote_value(run.path)}"]
    return []
