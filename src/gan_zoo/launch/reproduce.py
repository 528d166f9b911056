"""Runs of a recipe over seeds, and one row of results."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_zoo.config.recipes import Recipe
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import atomic_path
from gan_zoo.core.provenance import hardware
from gan_zoo.data.files.cache import cache_key
from gan_zoo.launch.processes import Job, run_all
from gan_zoo.runs.folder import RunFolder

Row = dict[str, Any]
LOCAL = ("data.root=", "trainer=", "logger=", "logger.", "callbacks.evaluation.every_images=")
"""Beginnings of overrides of a machine and of what is logged, which do not change a result."""


def reproduce(
    recipe: Recipe,
    seeds: int,
    out: Path,
    overrides: Sequence[str] = (),
    num_jobs: int = 1,
    *,
    results: Path,
) -> Row:
    """Train a recipe once for each of ``seeds`` and write their metrics as one row of ``results``.

    Runs that are there already go on from where they are.

    Args:
        recipe: what is trained.
        seeds: how many, from 0.
        out: folder of the runs.
        overrides: further ones of all runs; they are part of the row.
        num_jobs: runs side by side.
        results: a file of JSON lines; a row of the same recipe and overrides is replaced.

    Raises:
        ConfigError: if a run fails; the others are kept.
    """
    # Seeds count from 0, so that a second call finds the runs of the first; other overrides have
    # another folder.
    lasting = [word for word in overrides if not word.startswith(LOCAL)]
    folder = out / "-".join([recipe.name, *([cache_key(lasting)[:8]] if lasting else [])])
    jobs = []
    for seed in range(seeds):
        own = [f"experiment={recipe.name}", f"seed={seed}", *overrides]
        jobs.append(Job(own, folder / f"seed-{seed}"))
    run_all(jobs, num_jobs, on_end=lambda job: None)
    failed = [f"{job.folder}: {job.failure}" for job in jobs if job.failure]
    if failed:
        raise ConfigError(f"{len(failed)} of {seeds} runs failed, the first is {failed[0]}")

    row = result_row(recipe, [RunFolder(job.folder) for job in jobs], lasting)
    write_row(results, row)
    return row


def result_row(recipe: Recipe, runs: Sequence[RunFolder], overrides: Sequence[str]) -> Row:
    """The metrics of finished runs, one value for each run, and what made them.

    Args:
        recipe: what was trained.
        runs: one for each seed.
        overrides: those that change results.
    """
    # The values of each metric, one for each seed.
    found = [run.metrics() for run in runs]
    values: dict[str, list[float]] = {}
    for content in found:
        # Those of later evaluations name a checkpoint.
        own = [e for e in content["metrics"] if "checkpoint" not in e.get("protocol", {})]
        for entry in own:
            values.setdefault(entry["name"], []).append(entry["value"])
    return {
        "recipe": recipe.name,
        "overrides": list(overrides),
        "seeds": len(runs),
        "metrics": values,
        "images_seen": found[0]["images_seen"],
        "seconds": [content["seconds"] for content in found],
        "hardware": hardware(),
        "commit": found[0]["provenance"].get("git_commit"),
        "date": time.strftime("%Y-%m-%d"),
    }


def read_rows(file: Path) -> list[Row]:
    """The rows of a results file; none if it is not there.

    Raises:
        ConfigError: if it is damaged.
    """
    if not file.is_file():
        return []
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise ConfigError(f"{file} is damaged: {error}") from error


def write_row(file: Path, row: Row) -> None:
    """Add a row, in the place of one of the same recipe and overrides."""
    key = (row["recipe"], row["overrides"])
    kept = [old for old in read_rows(file) if (old["recipe"], old["overrides"]) != key]
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        lines = [json.dumps(line) for line in [*kept, row]]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def nearest(rows: Sequence[Row]) -> dict[str, Row]:
    """The row of each recipe that is nearest to it: the one with the fewest overrides."""
    by_distance = sorted(rows, key=lambda row: len(row["overrides"]), reverse=True)
    return {row["recipe"]: row for row in by_distance}


def measured(row: Row) -> str:
    """The metrics of a row in words, over how many seeds, and with which overrides."""
    settings = f" with {' '.join(row['overrides'])}" if row["overrides"] else ""
    return f"{', '.join(means(row))} ({_seeds(row)}{settings})"


def measured_in_brief(row: Row) -> str:
    """The same in a line for each metric, without the overrides, for a narrow column."""
    settings = " with overrides" if row["overrides"] else ""
    kept = [mean for mean in means(row) if not mean.startswith("is_std_")]
    return "\n".join([*kept, f"({_seeds(row)}{settings})"])


def means(row: Row) -> list[str]:
    """Each metric of a row in words: mean, and deviation between seeds, if there are several."""
    parts = []
    for name, values in row["metrics"].items():
        parts.append(f"{name} {mean_and_spread(values, 4)}")
    return parts


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """The mean with so many digits and, of several values, the deviation with one fewer."""
    mean = short_number(statistics.fmean(values), digits)
    return f"{mean} ± {short_number(statistics.stdev(values), digits - 1)}" if values[1:] else mean


def short_number(value: float, digits: int) -> str:
    """A number with so many digits, but never with an exponent of ten above zero."""
    short = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in short or abs(value) >= 1000 else short


def _seeds(row: Row) -> str:
    return f"{row['seeds']} seed{'s' * (row['seeds'] > 1)}"
