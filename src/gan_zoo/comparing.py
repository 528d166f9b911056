"""Many runs as one table: means and spreads over seeds, failures, pictures side by side."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gan_zoo.errors import CompositionError
from gan_zoo.resuming import recorded

ALWAYS = ("model", "loss", "data")


@dataclass
class Outcome:
    """One run as its folder tells it.

    Attributes:
        folder: the run folder.
        settings: model, loss, data and every override but the seed.
        seed: the run's seed.
        scores: the last value of each score by name; empty for a run that failed.
        images_seen, images_per_second: from ``metrics.json``.
        failure: the first line of ``FAILED.txt``, or what else is missing; empty for a finished run.
    """

    folder: Path
    settings: dict[str, str]
    seed: str
    scores: dict[str, float] = field(default_factory=dict)
    images_seen: float = math.nan
    images_per_second: float = math.nan
    failure: str = ""

    @property
    def picture(self) -> Path | None:
        """The last picture of samples."""
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
        CompositionError: if a folder does not exist or there is no run.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise CompositionError(f"DIR must be a folder with runs in it, got {str(folder)!r}, which is not a folder")
        found += [file.parent.parent for file in sorted(folder.rglob(".hydra/config.yaml"))]
    if not found:
        raise CompositionError(f"there is no run in {', '.join(map(str, folders))}")
    return [read_run(run) for run in dict.fromkeys(found)]


def read_run(run: Path) -> Outcome:
    """What a run folder says of its run."""
    config, hydra = (_yaml(run / ".hydra" / f"{name}.yaml") for name in ("config", "hydra"))
    choices = hydra["hydra"]["runtime"]["choices"]
    settings = {name: str(choices.get(name)) for name in ALWAYS}
    settings |= dict((override.lstrip("+") + "=").split("=", 1) for override in recorded(run))
    settings = {name: value.rstrip("=") for name, value in settings.items()}
    outcome = Outcome(run, {k: v for k, v in settings.items() if k != "seed"}, str(config.get("seed")))
    if (failed := run / "FAILED.txt").is_file():
        outcome.failure = (failed.read_text().splitlines() or ["failed"])[0]
    elif not (run / "report.html").is_file() and not (run / "metrics.json").is_file():
        outcome.failure = "not finished"
    elif (metrics := run / "metrics.json").is_file():
        content: dict[str, Any] = json.loads(metrics.read_text())
        outcome.scores = {entry["name"]: float(entry["value"]) for entry in content.get("metrics", [])}
        outcome.images_seen = content.get("images_seen", math.nan)
        outcome.images_per_second = content.get("images_per_second", math.nan)
    return outcome


def _yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text())  # type: ignore[no-untyped-call]


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
    """The table's header and rows: in what runs differ, seeds, scores as mean and spread, speed."""
    settings = columns_that_differ(groups)
    scores = list(dict.fromkeys(name for group in groups for run in group.finished for name in run.scores))
    rows = []
    for group in groups:
        speeds = [run.images_per_second for run in group.finished if not math.isnan(run.images_per_second)]
        speed = f"{statistics.median(speeds):,.0f}" if speeds else ""
        failed = len(group.outcomes) - len(group.finished)
        counts = f"{len(group.finished)}" + (f" (+{failed} failed)" if failed else "")
        values = [with_spread(*group.mean_and_spread(score)) for score in scores]
        rows.append([said(group.settings, settings), counts, *values, speed])
    return ["run", "seeds", *scores, "images/s"], rows


def said(settings: dict[str, str], names: Sequence[str]) -> str:
    """These settings as one would type them."""
    return " ".join(f"{name}={settings[name]}" for name in names if name in settings)


def with_spread(mean: float, spread: float) -> str:
    """``12.3 ± 0.4``, or less where less is known."""
    if math.isnan(mean):
        return ""
    return f"{mean:.4g}" if math.isnan(spread) else f"{mean:.4g} ± {spread:.2g}"


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """One line for each run, with everything: for other programs."""
    settings = list(dict.fromkeys(name for run in outcomes for name in run.settings))
    scores = list(dict.fromkeys(name for run in outcomes for name in run.scores))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*settings, "seed", *scores, "images_seen", "images_per_second", "failure", "folder"])
    for run in outcomes:
        measured = [run.scores.get(name, "") for name in scores] + [run.images_seen, run.images_per_second]
        writer.writerow(
            [*(run.settings.get(name, "") for name in settings), run.seed, *measured, run.failure, run.folder]
        )
    return text.getvalue()


def rendered(groups: Sequence[Group], suffix: str) -> str:
    """The comparison as a file with this suffix: ``.html``, ``.md`` or ``.csv``."""
    if suffix == ".html":
        return as_html(groups)
    if suffix == ".md":
        return as_markdown(*rows_of(groups))
    if suffix == ".csv":
        return as_csv([run for group in groups for run in group.outcomes])
    raise CompositionError(f"--out must end in .html, .md or .csv, got {suffix!r}")


STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#1b1b1f}
table{border-collapse:collapse}td,th{padding:.35em .8em;border-bottom:1px solid #ddd;text-align:left}
figure{display:inline-block;margin:0 1em 1.5em 0;vertical-align:top;max-width:360px}
img{width:100%;image-rendering:pixelated}figcaption{font-size:13px;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#16161a;color:#e6e6ea}td,th{border-color:#333}}"""


def as_html(groups: Sequence[Group]) -> str:
    """One page without anything outside it: the table, failures, and every run's last picture."""
    header, rows = rows_of(groups)
    settings = columns_that_differ(groups)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    failures = [run for group in groups for run in group.outcomes if run.failure]
    listed = "".join(f"<li>{html.escape(f'{run.folder}: {run.failure}')}</li>" for run in failures)
    figures = "".join(_figure(run, settings) for group in groups for run in group.finished)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Runs compared</title><style>{STYLE}</style>"
        f"<h1>{sum(len(group.outcomes) for group in groups)} runs</h1>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + (f"<h2>Failed</h2><ul>{listed}</ul>" if listed else "")
        + f"<h2>Samples</h2>{figures}</html>\n"
    )


def _figure(run: Outcome, settings: Sequence[str]) -> str:
    if run.picture is None:
        return ""
    title = html.escape(f"{said(run.settings, settings)} seed={run.seed}")
    data = base64.b64encode(run.picture.read_bytes()).decode()
    return f'<figure><img alt="{title}" src="data:image/png;base64,{data}"><figcaption>{title}</figcaption></figure>'
