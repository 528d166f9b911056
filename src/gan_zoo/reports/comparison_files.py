"""A comparison of runs as a file: Markdown and CSV for papers, a page with curves and images side
by side.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from markupsafe import Markup

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.templates import render as render_template
from gan_zoo.reports.charts import Curve, chart
from gan_zoo.reports.comparison import (
    RunGroup,
    RunResult,
    format_overrides,
    table_rows,
    varying_settings,
)
from gan_zoo.reports.run_report import base64_of


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
        charts=metric_charts(finished, settings),
        figures=[(title, base64_of(image)) for title, image in images if image is not None],
    )


def run_title(run: RunResult, settings: Sequence[str]) -> str:
    """The settings and the seed of a run."""
    return f"{format_overrides(run.settings, settings)} seed={run.seed}"


def metric_charts(runs: Sequence[RunResult], settings: Sequence[str]) -> list[Markup]:
    """Every metric of every run over images seen, and over seconds at the run's mean speed."""
    # Metrics of the runs whose speed is known.
    timed = [run for run in runs if run.images_per_second > 0]
    names = dict.fromkeys(
        name for run in timed for entry in run.history for name in entry if name in run.scores
    )

    # Each metric over images seen, then over seconds.
    charts = []
    for name in names:
        for unit in ("images", "s"):
            curves: dict[str, Curve] = {}
            for run in timed:
                scale = 1 if unit == "images" else 1 / run.images_per_second
                curve = [
                    (scale * entry["images_seen"], entry[name])
                    for entry in run.history
                    if name in entry
                ]
                if len(curve) > 1:
                    curves[run_title(run, settings)] = curve
            charts.append(chart(name, curves, unit=unit))
    return [drawn for drawn in charts if drawn]
