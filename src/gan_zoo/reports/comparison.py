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

import yaml

from gan_zoo.core.errors import ConfigError
from gan_zoo.diagnostics.from_log import diagnose_run
from gan_zoo.runs.metric_protocols import Entry, labels
from gan_zoo.runs.overrides import recorded

ALWAYS = ("model", "loss", "data")


@dataclass
class Outcome:
    """One run, read from its folder.

    Attributes:
        folder: the run folder.
        settings: model, loss, data and every override but the seed.
        seed: the run's seed.
        entries: its scores with their protocols; none for a run that failed.
        scores: the values by name, see `name_scores`.
        history: the scores at each evaluation in training under the same names, with ``images_seen``.
        images_seen, images_per_second: from ``metrics.json``.
        findings: what the doctor found that lasts, by name.
        failure: the first line of ``FAILED.txt``, or what else is missing; empty for a finished run.
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

    @property
    def image(self) -> Path | None:
        """The last image of samples."""
        return max((self.folder / "samples").glob("[0-9]*.png"), default=None)


@dataclass
class Group:
    """Runs that differ in nothing but the seed."""

    settings: dict[str, str]
    outcomes: list[Outcome]

    @property
    def finished(self) -> list[Outcome]:
        """Those that did not fail."""
        return [outcome for outcome in self.outcomes if not outcome.failure]

    def mean_and_spread(self, score: str) -> tuple[float, float]:
        """The mean over seeds and the standard deviation between them (n - 1), NaN where there are too few."""
        values = [outcome.scores[score] for outcome in self.finished if score in outcome.scores]
        mean = statistics.fmean(values) if values else math.nan
        return mean, statistics.stdev(values) if len(values) > 1 else math.nan


def find_runs(folders: Iterable[Path]) -> list[Outcome]:
    """Every run below ``folders``.

    Raises:
        ConfigError: if a folder does not exist or there is no run.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"DIR must be a folder with runs in it, got {str(folder)!r}, which is not a folder")
        found += [file.parent.parent for file in sorted(folder.rglob(".hydra/config.yaml"))]
    if not found:
        raise ConfigError(f"there is no run in {', '.join(map(str, folders))}")
    outcomes = [read_run(run) for run in dict.fromkeys(found)]
    name_scores(outcomes)
    return outcomes


def read_run(run: Path) -> Outcome:
    """The run of a run folder."""
    config, hydra = (_yaml(run / ".hydra" / f"{name}.yaml") for name in ("config", "hydra"))
    choices = hydra["hydra"]["runtime"]["choices"]
    settings = {name: str(choices.get(name)) for name in ALWAYS}
    settings |= dict((override.lstrip("+") + "=").split("=", 1) for override in recorded(run))
    settings = {name: value.rstrip("=") for name, value in settings.items()}
    outcome = Outcome(run, {k: v for k, v in settings.items() if k != "seed"}, str(config.get("seed")))
    outcome.findings = list(dict.fromkeys(found.name for found in diagnose_run(run)[1] if found.lasting))
    if (failed := run / "FAILED.txt").is_file():
        outcome.failure = (failed.read_text().splitlines() or ["failed"])[0]
    elif not (run / "report.html").is_file() and not (run / "metrics.json").is_file():
        outcome.failure = "not finished"
    elif (metrics := run / "metrics.json").is_file():
        try:
            content: dict[str, Any] = json.loads(metrics.read_text())
            outcome.entries = [
                {
                    "name": str(entry["name"]),
                    "value": float(entry["value"]),
                    "protocol": dict(entry.get("protocol", {})),
                }
                for entry in content.get("metrics", [])
            ]
            outcome.history = content.get("history", [])
            outcome.images_seen = content.get("images_seen", math.nan)
            outcome.images_per_second = content.get("images_per_second", math.nan)
        except (ValueError, TypeError, AttributeError, KeyError):
            outcome.failure = "metrics.json is damaged"
    return outcome


def name_scores(outcomes: Sequence[Outcome]) -> None:
    """Fill in `Outcome.scores`: by name alone where all runs have one protocol, else by what sets theirs apart."""
    for outcome, names in zip(outcomes, labels([outcome.entries for outcome in outcomes]), strict=True):
        pairs = list(zip(names, outcome.entries, strict=True))
        outcome.scores = {name: entry["value"] for name, entry in pairs}
        trained = {f"val/{entry['name']}": name for name, entry in pairs if "checkpoint" not in entry["protocol"]}
        outcome.history = [{trained.get(key, key): value for key, value in look.items()} for look in outcome.history]


def _yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call]


def grouped(outcomes: Sequence[Outcome]) -> list[Group]:
    """Runs with the same settings together; in the order in which they were found."""
    groups: dict[str, Group] = {}
    for outcome in outcomes:
        key = json.dumps(outcome.settings, sort_keys=True)
        groups.setdefault(key, Group(outcome.settings, [])).outcomes.append(outcome)
    return list(groups.values())


def columns_that_differ(groups: Sequence[Group]) -> list[str]:
    """The settings in which groups differ; the model where they differ in none."""
    names = dict.fromkeys(name for group in groups for name in group.settings)
    differing = [name for name in names if len({group.settings.get(name) for group in groups}) > 1]
    return differing or ["model"]


def rows_of(groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """The table's header and rows: in what runs differ, seeds, scores as mean and spread, speed, the doctor's word."""
    settings = columns_that_differ(groups)
    scores = list(dict.fromkeys(name for group in groups for run in group.finished for name in run.scores))
    rows = []
    for group in groups:
        speeds = [run.images_per_second for run in group.finished if not math.isnan(run.images_per_second)]
        speed = f"{statistics.median(speeds):,.0f}" if speeds else ""
        failed = len(group.outcomes) - len(group.finished)
        counts = f"{len(group.finished)}" + (f" (+{failed} failed)" if failed else "")
        values = [with_spread(*group.mean_and_spread(score)) for score in scores]
        rows.append([format_overrides(group.settings, settings), counts, *values, speed, findings_of(group)])
    header = ["run", "seeds", *scores, "images/s", "doctor"]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return header, rows


def findings_of(group: Group) -> str:
    """What the doctor found in a group's runs, with the number of runs where it is not all of them."""
    counts = Counter(name for outcome in group.outcomes for name in outcome.findings)
    runs = len(group.outcomes)
    return ", ".join(name if count == runs else f"{name} ({count} of {runs})" for name, count in counts.items())


def format_overrides(settings: dict[str, str], names: Sequence[str]) -> str:
    """These settings as one would type them."""
    return " ".join(f"{name}={settings[name]}" for name in names if name in settings)


def with_spread(mean: float, spread: float) -> str:
    """``12.3 ± 0.4``, or less where less is known."""
    if math.isnan(mean):
        return ""
    return f"{mean:.4g}" if math.isnan(spread) else f"{mean:.4g} ± {spread:.2g}"
