"""A comparison of runs as a file: Markdown and CSV for papers, a page with curves and images side by side."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from collections.abc import Sequence

from gan_zoo.core.errors import ConfigError
from gan_zoo.reports.charts import STYLE, Curve, chart
from gan_zoo.reports.comparison import Group, Outcome, columns_that_differ, format_overrides, rows_of


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table in Markdown."""
    escaped = [
        [cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in row] for row in (header, *rows)
    ]
    lines = [escaped[0], ["---"] * len(header), *escaped[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """One line for each run, with everything: for other programs."""
    settings = list(dict.fromkeys(name for run in outcomes for name in run.settings))
    scores = list(dict.fromkeys(name for run in outcomes for name in run.scores))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*settings, "seed", *scores, "images_seen", "images_per_second", "doctor", "failure", "folder"])
    for run in outcomes:
        measured = [run.scores.get(name, "") for name in scores] + [run.images_seen, run.images_per_second]
        writer.writerow(
            [
                *(_no_formula(run.settings.get(name, "")) for name in settings),
                *(run.seed, *measured, "; ".join(run.findings), _no_formula(run.failure), _no_formula(str(run.folder))),
            ]
        )
    return text.getvalue()


def _no_formula(text: str) -> str:
    """``text`` so that a spreadsheet does not compute it."""
    is_number = re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", text) is not None
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_number else text


def rendered(groups: Sequence[Group], suffix: str) -> str:
    """The comparison as a file with this suffix: ``.html``, ``.md`` or ``.csv``."""
    if suffix == ".html":
        return as_html(groups)
    if suffix == ".md":
        return as_markdown(*rows_of(groups))
    if suffix == ".csv":
        return as_csv([run for group in groups for run in group.outcomes])
    raise ConfigError(f"--out must end in .html, .md or .csv, got {suffix!r}")


def as_html(groups: Sequence[Group]) -> str:
    """One page without anything outside it: the table, failures, and every run's last image."""
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
        + curves(groups, settings)
        + f"<h2>Samples</h2>{figures}</html>\n"
    )


def curves(groups: Sequence[Group], settings: Sequence[str]) -> str:
    """Every score of every run over images seen, and over seconds at the run's mean speed."""
    finished = [run for group in groups for run in group.finished if run.images_per_second > 0]
    runs = [(f"{format_overrides(run.settings, settings)} seed={run.seed}", run) for run in finished]
    names = dict.fromkeys(name for _, run in runs for look in run.history for name in look if name in run.scores)
    charts = []
    for name in names:
        for unit in ("images", "s"):
            lines: dict[str, Curve] = {}
            for title, run in runs:
                scale = 1 if unit == "images" else 1 / run.images_per_second
                line = [(scale * look["images_seen"], look[name]) for look in run.history if name in look]
                lines |= {title: line} if len(line) > 1 else {}
            charts.append(chart(name, lines, unit=unit) if lines else "")
    return f"<h2>Scores over images and time</h2>{''.join(charts)}" if any(charts) else ""


def _figure(run: Outcome, settings: Sequence[str]) -> str:
    if run.image is None:
        return ""
    title = html.escape(f"{format_overrides(run.settings, settings)} seed={run.seed}")
    data = base64.b64encode(run.image.read_bytes()).decode()
    return f'<figure><img alt="{title}" src="data:image/png;base64,{data}"><figcaption>{title}</figcaption></figure>'
