"""A comparison of runs as a file: Markdown and CSV for papers, a page with curves and images side
by side.
"""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Sequence

from markupsafe import Markup

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.templates import render as render_template
from gan_zoo.reports.charts import chart, scatter
from gan_zoo.reports.comparison import (
    RunGroup,
    RunResult,
    format_overrides,
    table_rows,
    varying_settings,
)
from gan_zoo.reports.run_report import base64_of

SPREAD = "is_std"
"""The spread of the Inception score over its splits: it belongs to the score."""


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table in Markdown."""
    escaped = [
        [cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in row]
        for row in (header, *rows)
    ]
    lines = [escaped[0], ["---"] * len(header), *escaped[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def as_csv(outcomes: Sequence[RunResult]) -> str:
    """One line for each run, with everything: for other programs."""
    # The header has the settings and scores of all runs.
    settings = list(dict.fromkeys(name for run in outcomes for name in run.settings))
    scores = list(dict.fromkeys(name for run in outcomes for name in run.scores))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *settings,
            "seed",
            *scores,
            "images_seen",
            "images_per_second",
            "doctor",
            "failure",
            "folder",
        ]
    )

    # One row for each run; text must not be computed by a spreadsheet.
    for run in outcomes:
        measured = [run.scores.get(name, "") for name in scores] + [
            run.images_seen,
            run.images_per_second,
        ]
        writer.writerow(
            [
                *(_no_formula(run.settings.get(name, "")) for name in settings),
                *(
                    run.seed,
                    *measured,
                    "; ".join(run.findings),
                    _no_formula(run.failure),
                    _no_formula(str(run.folder)),
                ),
            ]
        )
    return text.getvalue()


def _no_formula(text: str) -> str:
    """``text`` so that a spreadsheet does not compute it."""
    is_number = re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", text) is not None
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_number else text


def render(groups: Sequence[RunGroup], suffix: str) -> str:
    """The comparison as a file with this suffix: ``.html``, ``.md`` or ``.csv``."""
    if suffix == ".html":
        return as_html(groups)
    if suffix == ".md":
        return as_markdown(*table_rows(groups))
    if suffix == ".csv":
        return as_csv([run for group in groups for run in group.outcomes])
    raise ConfigError(f"--out must end in .html, .md or .csv, got {suffix!r}")


def as_html(groups: Sequence[RunGroup]) -> str:
    """One page that needs no other file: the table, failures, curves, and every run's last
    image.
    """
    # All runs, and the images of those that finished.
    header, rows = table_rows(groups)
    settings = varying_settings(groups)
    runs = [run for group in groups for run in group.outcomes]
    finished = [run for group in groups for run in group.finished]
    images = [(run_title(run, settings), run.image) for run in finished]

    # Images are embedded, so that the page stands alone.
    return render_template(
        "gan_zoo.reports",
        "comparison.html",
        runs=runs,
        header=header,
        rows=rows,
        failures=[run for run in runs if run.failure],
        charts=metric_charts(groups, settings),
        figures=[(title, base64_of(image)) for title, image in images if image is not None],
    )


def run_title(run: RunResult, settings: Sequence[str]) -> str:
    """The settings and the seed of a run."""
    return f"{format_overrides(run.settings, settings)} seed={run.seed}"


def metric_charts(groups: Sequence[RunGroup], settings: Sequence[str]) -> list[Markup]:
    """Every metric over images seen and over seconds, a curve for each group of runs with a band of
    one standard deviation between seeds; then the last values against the seconds of training.
    """
    # Groups with the runs whose speed is known.
    timed = {
        format_overrides(group.settings, settings): [
            run for run in group.finished if run.images_per_second > 0
        ]
        for group in groups
    }
    runs = [run for own in timed.values() for run in own]
    names = [name for run in runs for name in run.scores if not name.startswith(SPREAD)]
    shown = dict.fromkeys(names)
    evaluated = [
        name for name in shown if any(name in entry for run in runs for entry in run.history)
    ]
    charts = []

    # Each metric over images seen, then over seconds.
    for name in evaluated:
        for unit in ("images", "s"):
            spreads = {title: spread_over_seeds(own, name, unit) for title, own in timed.items()}
            spreads = {title: spread for title, spread in spreads.items() if len(spread) > 1}
            curves = {title: [(x, y) for x, y, _ in own] for title, own in spreads.items()}
            bands = {
                title: [(x, y - std, y + std) for x, y, std in own if std > 0]
                for title, own in spreads.items()
            }
            charts.append(chart(name, curves, unit=unit, bands=bands))

    # What a metric costs, a point for each run.
    for name in shown:
        points = {
            title: [
                (run.images_seen / run.images_per_second, run.scores[name])
                for run in own
                if name in run.scores
            ]
            for title, own in timed.items()
        }
        charts.append(scatter(f"{name} after training", points, unit="s"))
    return [drawn for drawn in charts if drawn]


def spread_over_seeds(
    runs: Sequence[RunResult], metric: str, unit: str
) -> list[tuple[float, float, float]]:
    """Where a metric was computed in training, its mean over runs and the standard deviation
    between them, 0 for a single run.

    Args:
        unit: ``images``, or ``s`` for seconds at the mean speed of the runs.
    """
    values: dict[float, list[float]] = {}
    for run in runs:
        for entry in run.history:
            if math.isfinite(entry.get(metric, math.nan)):
                values.setdefault(entry["images_seen"], []).append(entry[metric])
    speed = statistics.fmean(run.images_per_second for run in runs) if runs else 1.0
    scale = 1.0 if unit == "images" else 1 / speed
    return [
        (scale * seen, statistics.fmean(own), statistics.stdev(own) if len(own) > 1 else 0.0)
        for seen, own in sorted(values.items())
    ]
