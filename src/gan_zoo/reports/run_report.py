"""One page about one run, which needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gan_zoo.core.files import atomic_path, numeric_rows
from gan_zoo.core.templates import render
from gan_zoo.diagnostics.failure_modes import History
from gan_zoo.diagnostics.from_log import diagnose_run, summarize_findings
from gan_zoo.reports.charts import Band, Curve, chart
from gan_zoo.runs.folder import RunFolder

CHARTS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (
        "Discriminators",
        lambda name: name.startswith("d/") and "accuracy" not in name and name != "d/grad_norm",
    ),
    ("Generators", lambda name: name.startswith("g/") and name != "g/grad_norm"),
    ("Accuracy of the discriminators", lambda name: "accuracy" in name),
    ("Gradient norms", lambda name: name.endswith("grad_norm")),
    ("Learning rates", lambda name: name.startswith("lr/")),
)
MAX_IMAGES = 8


def write_report(run: RunFolder) -> Path:
    """Write the report of a run: metrics, curves, samples over time, config. What there is not is
    left out.
    """
    with atomic_path(run.report) as temporary:
        temporary.write_text(report_page(run), encoding="utf-8")
    return run.report


def report_page(run: RunFolder) -> str:
    """The report as HTML."""
    # What the run recorded, with a few of its grids.
    metrics = run.metrics()
    history, findings = diagnose_run(run)
    grids = evenly_spaced(run.sample_grids(), MAX_IMAGES)
    overrides = run.config("overrides") or []

    # One page, in which images and charts are embedded.
    return render(
        "gan_zoo.reports",
        "run_report.html",
        title="/".join(run.path.resolve().parts[-2:]),
        failure=run.failure,
        metrics=metrics,
        classes=(metrics.get("data") or {}).get("classes") or [],
        findings=findings,
        diagnosis=summarize_findings(history, findings).capitalize() if history else "",
        metric_rows=[metric_row(entry) for entry in metrics.get("metrics", [])],
        charts=[
            *training_charts(run.log, metrics.get("history", [])),
            *score_charts(history),
        ],
        samples=[(int(grid.stem), base64_of(grid)) for grid in grids],
        sounds=[base64_of(sound) for sound in run.sounds()],
        command=" ".join(["python train.py", *map(str, overrides)]),
        config=run.config_text(),
    )


def metric_row(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    """Name, value, warning and protocol of a metric."""
    protocol = dict(entry["protocol"])
    warning = protocol.pop("warning", "")
    details = ", ".join(f"{key} {value}" for key, value in protocol.items())
    return str(entry["name"]), f"{entry['value']:.5g}", str(warning), details


def training_charts(log: Path, metric_history: Sequence[dict[str, float]]) -> list[Markup]:
    """Charts of what was logged over images seen, and of each metric that was computed more than
    once.
    """
    # Losses, penalties and learning rates, from the log.
    logged: dict[str, Curve] = {}
    for row in numeric_rows(log):
        for name, value in row.items():
            if "train/images_seen" in row and name.startswith(("d/", "g/", "lr/")):
                logged.setdefault(name, []).append((row["train/images_seen"], value))
    charts = [
        chart(title, {n: c for n, c in logged.items() if belongs(n)}) for title, belongs in CHARTS
    ]

    # Metrics, from their history.
    metrics: dict[str, Curve] = {}
    for entry in metric_history:
        for name in entry:
            if name.startswith("val/"):
                metrics.setdefault(name.removeprefix("val/"), []).append(
                    (entry["images_seen"], entry[name])
                )
    charts += [chart(name, {name: curve}) for name, curve in metrics.items()]
    return [drawn for drawn in charts if drawn]


def score_charts(history: History) -> list[Markup]:
    """For each term the median scores of reals and fakes over images seen, in bands that hold the
    middle 90 %, from what the doctor read.
    """
    # Terms in the order in which they were first read.
    medians = dict.fromkeys(name for reading in history for name in reading if "_p50" in name)
    charts = []
    for term in dict.fromkeys(name.rpartition("/")[0] for name in medians):
        curves: dict[str, Curve] = {}
        bands: dict[str, Band] = {}
        for side in ("real", "fake"):
            names = [f"{term}/{side}_p{percent}" for percent in ("05", "50", "95")]
            # A term may be missing from some looks.
            looks = [reading for reading in history if all(name in reading for name in names)]
            values = [(look["images_seen"], *(look[name] for name in names)) for look in looks]
            curves[side] = [(seen, middle) for seen, _, middle, _ in values]
            bands[side] = [(seen, low, high) for seen, low, _, high in values]
        charts.append(chart(f"Scores of {term}, median and middle 90 %", curves, bands=bands))
    return [drawn for drawn in charts if drawn]


def base64_of(image: Path) -> str:
    """A file's bytes in base64."""
    return base64.b64encode(image.read_bytes()).decode()


def evenly_spaced(items: Sequence[Path], most: int) -> list[Path]:
    """At most ``most`` of ``items``, evenly spread, both ends included."""
    if len(items) <= most:
        return list(items)
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]
