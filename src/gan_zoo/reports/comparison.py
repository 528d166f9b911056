"""Many runs as one table: means and spreads over seeds, failures, speed, what the doctor found."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.nested import get_dotted
from gan_zoo.diagnostics.from_log import diagnose_run
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.metric_protocols import Entry, labels
from gan_zoo.runs.overrides import read_overrides

BASE_SETTINGS = ("model", "loss", "data")
DAMAGE = (ValueError, TypeError, AttributeError, KeyError, OSError)
"""What reading a file raises that holds other things than it should."""


@dataclass
class RunResult:
    """One run, read from its folder.

    Attributes:
        folder: the run folder.
        settings: model, loss, data and every override but the seed.
        seed: the run's seed.
        entries: its scores with their protocols; none for a run that failed.
        scores: the values by name, see `label_metrics`.
        history: the scores at each evaluation in training under the same names, with
            ``images_seen``.
        images_seen, images_per_second: from ``metrics.json``.
        findings: what the doctor found that lasts, by name.
        failure: the first line of ``FAILED.txt``, or what else is missing; empty for a finished
            run.
        is_running: whether it is still being trained, on this machine.
        stopped_early: whether its last checkpoint is before ``trainer.max_steps``.
    """

    folder: Path
    settings: dict[str, str]
    seed: str
    entries: list[Entry] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    images_seen: float = math.nan
    images_per_second: float = math.nan
    findings: list[str] = field(default_factory=list)
    failure: str = ""
    is_running: bool = False
    stopped_early: bool = False

    @property
    def image(self) -> Path | None:
        """The last image of samples."""
        return max(RunFolder(self.folder).sample_grids(), default=None)


@dataclass
class RunGroup:
    """Runs that differ in nothing but the seed."""

    settings: dict[str, str]
    outcomes: list[RunResult]

    @property
    def finished(self) -> list[RunResult]:
        """Those that did not fail."""
        return [outcome for outcome in self.outcomes if not outcome.failure]

    def mean_and_spread(self, score: str) -> tuple[float, float]:
        """The mean over seeds and the standard deviation between them (n - 1), NaN where there are
        too few; scores that are not finite are left out.
        """
        found = [outcome.scores.get(score, math.nan) for outcome in self.finished]
        values = [value for value in found if math.isfinite(value)]
        mean = statistics.fmean(values) if values else math.nan
        return mean, statistics.stdev(values) if len(values) > 1 else math.nan


def find_runs(folders: Iterable[Path]) -> list[RunResult]:
    """Every run below ``folders``.

    Raises:
        ConfigError: if a folder does not exist or there is no run.
    """
    # Runs below all folders.
    found: list[RunFolder] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"DIR must be a folder with runs in it, got {str(folder)!r}, which is not a folder"
            )
        found += RunFolder.find_below(folder)
    if not found:
        raise ConfigError(f"there is no run in {', '.join(map(str, folders))}")

    # A run below several of the folders counts once.
    unique = {run.path: run for run in found}
    outcomes = [read_run(run) for run in unique.values()]
    label_metrics(outcomes)
    return outcomes


def read_run(run: RunFolder) -> RunResult:
    """The result of a run; whatever is wrong with its folder is its failure."""
    outcome = RunResult(run.path, dict.fromkeys(BASE_SETTINGS, "unknown"), "unknown")
    try:
        read_settings(run, outcome)
        read_outcome(run, outcome)
    except ConfigError as error:
        outcome.failure = outcome.failure or str(error)
    except DAMAGE as error:
        outcome.failure = outcome.failure or f"the run folder is damaged: {error}"
    return outcome


def read_settings(run: RunFolder, outcome: RunResult) -> None:
    """Fill in what a run was: its choices, overrides and seed.

    Raises:
        ConfigError: if that is not known, once everything that is known is filled in.
    """
    # Overrides are shown as they are, so they need not be trusted.
    overrides = dict((o.lstrip("+") + "=").split("=", 1) for o in read_overrides(run))
    chosen = {name: value.rstrip("=") for name, value in overrides.items() if name != "seed"}
    outcome.settings |= chosen
    outcome.seed = str(get_dotted(run.config(), "seed"))

    # The order is that of the columns.
    choices = get_dotted(run.config("hydra"), "hydra.runtime.choices")
    if not isinstance(choices, dict):
        raise ConfigError(f"{run.config_file('hydra')} is missing or damaged")
    outcome.settings = {name: str(choices.get(name)) for name in BASE_SETTINGS} | chosen


def read_outcome(run: RunFolder, outcome: RunResult) -> None:
    """Fill in how a run ended."""
    # Only what has not stopped by the end.
    findings = diagnose_run(run)[1]
    outcome.findings = list(dict.fromkeys(found.name for found in findings if found.ongoing))
    if run.is_training:
        outcome.is_running = True
        outcome.failure = "still running"
    elif run.failure:
        outcome.failure = run.failure.splitlines()[0]
    elif not run.has_finished:
        outcome.failure = "not finished"
    else:
        try:
            read_metrics(run, outcome)
        # Scores cannot be read, but all else of the run can.
        except DAMAGE:
            outcome.failure = "metrics.json is damaged"
        else:
            outcome.stopped_early = stopped_early(run)


def stopped_early(run: RunFolder) -> bool:
    """Whether the last checkpoint of a run is before the steps that its config asks for; not known
    where it asks for time or epochs.
    """
    config = run.config()
    if get_dotted(config, "trainer.max_time") or get_dotted(config, "trainer.max_epochs"):
        return False
    last = resolved_steps(config)
    steps = [entry.step for entry in run.checkpoints.entries()]
    return isinstance(last, int) and bool(steps) and max(steps) < last


def resolved_steps(config: Any) -> int | None:
    """``trainer.max_steps`` of a config that may compute it; None where that is not possible."""
    steps = get_dotted(config, "trainer.max_steps")
    if isinstance(steps, str):
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        from gan_zoo.config.resolvers import register

        register()
        try:
            steps = OmegaConf.select(OmegaConf.create(config), "trainer.max_steps")
        except OmegaConfBaseException:
            return None
    return steps if isinstance(steps, int) else None


def read_metrics(run: RunFolder, outcome: RunResult) -> None:
    """Fill in the metrics of a run."""
    content = run.metrics()
    entries: list[Entry] = [
        {
            "name": str(entry["name"]),
            "value": float(entry["value"]),
            "protocol": dict(entry.get("protocol", {})),
        }
        for entry in content.get("metrics", [])
    ]
    history = [
        {"images_seen": _number(look["images_seen"])}
        | {name: _number(value) for name, value in look.items()}
        for look in content.get("history", [])
    ]
    images_seen = _number(content.get("images_seen", math.nan))
    images_per_second = _number(content.get("images_per_second", math.nan))

    # Only once all of it is known to be sound.
    outcome.entries = entries
    outcome.history = history
    outcome.images_seen = images_seen
    outcome.images_per_second = images_per_second


def _number(value: Any) -> float:
    """``value``; raises TypeError if it is no number."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value


def label_metrics(outcomes: Sequence[RunResult]) -> None:
    """Fill in `RunResult.scores`: by name alone where all runs have one protocol, else by what sets
    theirs apart.
    """
    for outcome, names in zip(
        outcomes, labels([outcome.entries for outcome in outcomes]), strict=True
    ):
        pairs = list(zip(names, outcome.entries, strict=True))
        outcome.scores = {name: entry["value"] for name, entry in pairs}

        # Scores of training have a history; those of later evaluations name a checkpoint.
        trained = {
            f"val/{entry['name']}": name
            for name, entry in pairs
            if "checkpoint" not in entry["protocol"]
        }
        outcome.history = [
            {trained.get(key, key): value for key, value in look.items()}
            for look in outcome.history
        ]


def group_by_settings(outcomes: Sequence[RunResult]) -> list[RunGroup]:
    """Runs with the same settings together; in the order in which they were found."""
    groups: dict[str, RunGroup] = {}
    for outcome in outcomes:
        key = json.dumps(outcome.settings, sort_keys=True)
        groups.setdefault(key, RunGroup(outcome.settings, [])).outcomes.append(outcome)
    return list(groups.values())


def varying_settings(groups: Sequence[RunGroup]) -> list[str]:
    """The settings in which groups differ; the model where they differ in none."""
    names = dict.fromkeys(name for group in groups for name in group.settings)
    varying_protocol_keys = [
        name for name in names if len({group.settings.get(name) for group in groups}) > 1
    ]
    return varying_protocol_keys or ["model"]


def count_runs(group: RunGroup) -> str:
    """How many runs have finished, and in brackets what is to be known of them and of others."""
    running = sum(run.is_running for run in group.outcomes)
    failed = len(group.outcomes) - len(group.finished) - running
    stopped = sum(run.stopped_early for run in group.finished)
    unscored = sum(not run.entries for run in group.finished)
    notes = [
        *([f"+{failed} failed"] if failed else []),
        *([f"+{running} running"] if running else []),
        *([f"{stopped} stopped early"] if stopped else []),
        *([f"{unscored} without metrics"] if unscored else []),
    ]
    return f"{len(group.finished)}" + (f" ({', '.join(notes)})" if notes else "")


def table_rows(groups: Sequence[RunGroup]) -> tuple[list[str], list[list[str]]]:
    """The table's header and rows: in what runs differ, seeds, scores as mean and spread, speed,
    the doctor's word.
    """
    # Columns: the settings that vary, and all scores.
    settings = varying_settings(groups)
    scores = list(
        dict.fromkeys(name for group in groups for run in group.finished for name in run.scores)
    )

    # One row for each group of runs that differ in their seeds alone.
    rows = []
    for group in groups:
        speeds = [
            run.images_per_second for run in group.finished if not math.isnan(run.images_per_second)
        ]
        speed = f"{statistics.median(speeds):,.0f}" if speeds else ""
        values = [format_mean_std(*group.mean_and_spread(score)) for score in scores]
        rows.append(
            [
                format_overrides(group.settings, settings),
                count_runs(group),
                *values,
                speed,
                finding_names(group),
            ]
        )

    # The doctor has a column only if there are findings.
    header = ["run", "seeds", *scores, "images/s", "doctor"]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return header, rows


def finding_names(group: RunGroup) -> str:
    """What the doctor found in a group's runs, with the number of runs where it is not all of
    them.
    """
    counts = Counter(name for outcome in group.outcomes for name in outcome.findings)
    runs = len(group.outcomes)
    return ", ".join(
        name if count == runs else f"{name} ({count} of {runs})" for name, count in counts.items()
    )


def format_overrides(settings: dict[str, str], names: Sequence[str]) -> str:
    """These settings as one would type them."""
    return " ".join(f"{name}={settings[name]}" for name in names if name in settings)


def format_mean_std(mean: float, spread: float) -> str:
    """``12.3 ± 0.4``, or less where less is known."""
    if math.isnan(mean):
        return ""
    return f"{mean:.4g}" if math.isnan(spread) else f"{mean:.4g} ± {spread:.2g}"
