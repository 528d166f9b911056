"""One page about one run: ``report.html``, without anything outside it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from gan_zoo.core.files import atomic_path, numbers_of
from gan_zoo.diagnostics.from_log import diagnose_run, summarize_findings
from gan_zoo.reports.charts import STYLE, Curve, chart

GROUPS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("Discriminators", lambda name: name.startswith("d/") and "accuracy" not in name and name != "d/grad_norm"),
    ("Generators", lambda name: name.startswith("g/") and name != "g/grad_norm"),
    ("Accuracy of the discriminators", lambda name: "accuracy" in name),
    ("Gradient norms", lambda name: name.endswith("grad_norm")),
    ("Learning rates", lambda name: name.startswith("lr/")),
)


def write_report(run: Path) -> Path:
    """Write ``report.html`` of a run folder, whole or not at all: scores, curves, samples over time, config.

    What the folder does not have is left out.
    """
    path = run / "report.html"
    with atomic_path(path) as temporary:
        temporary.write_text(page(run))
    return path


def page(run: Path) -> str:
    """The page's HTML."""
    metrics: dict[str, Any] = json.loads(_text(run / "metrics.json") or "{}")
    title = html.escape("/".join(run.resolve().parts[-2:]))
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>",
        f"<h1>{title}</h1>",
        failure(run),
        summary(metrics),
        diagnosis(run),
        scores(metrics),
        curves_of(run / "metrics.csv", metrics),
        samples(run / "samples"),
        config(run),
        environment(metrics),
    ]
    return "".join(parts) + "</html>\n"


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def failure(run: Path) -> str:
    """Why the run failed, if it did."""
    text = _text(run / "FAILED.txt").strip()
    return f"<p><strong>Failed:</strong> {html.escape(text)}</p>" if text else ""


def summary(metrics: dict[str, Any]) -> str:
    """How long it trained."""
    if "images_seen" not in metrics:
        return ""
    speed = f"{metrics['images_seen']:,} images in {metrics['seconds']:,.0f} s"
    names = (metrics.get("data") or {}).get("classes") or []
    classes = html.escape(", ".join(f"{number} {name}" for number, name in enumerate(names)))
    listed = f"<p>Classes: {classes}</p>" if names else ""
    return f"<p>{speed}, {metrics['images_per_second']:,.0f} images/s</p>{listed}"


def diagnosis(run: Path) -> str:
    """What the doctor says: each finding with what to try."""
    history, findings = diagnose_run(run)
    if not history and not findings:
        return ""
    rows = "".join(
        f"<tr><td>{finding.name}</td><td>{html.escape(finding.term)}</td><td>{finding.since:,}"
        f"{'' if finding.lasting else ', later no more'}</td><td>{html.escape(finding.sign)}</td>"
        f"<td>{'<br>'.join(f'<code>{html.escape(remedy)}</code>' for remedy in finding.remedies)}</td></tr>"
        for finding in findings
    )
    head = "<table><tr><th>finding<th>term<th>since images<th>what was seen<th>try one of</tr>"
    return "<h2>What the doctor says</h2>" + (
        f"{head}{rows}</table>" if findings else f"<p>{summarize_findings(history, findings).capitalize()}.</p>"
    )


def scores(metrics: dict[str, Any]) -> str:
    """The scores, each with its protocol and its warning."""
    rows = []
    for entry in metrics.get("metrics", []):
        protocol = dict(entry["protocol"])
        warning = protocol.pop("warning", "")
        details = ", ".join(f"{key} {value}" for key, value in protocol.items())
        cells = (entry["name"], f"{entry['value']:.5g}", warning, details)
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    head = "<h2>Scores</h2><table><tr><th>score<th>value<th>warning<th>protocol</tr>"
    return f"{head}{''.join(rows)}</table>" if rows else ""


def curves_of(log: Path, metrics: dict[str, Any]) -> str:
    """What was logged over images seen, and the scores' history."""
    logged: dict[str, Curve] = {}
    for row in numbers_of(log):
        for name, value in row.items():
            if "train/images_seen" in row and name.startswith(("d/", "g/", "lr/")):
                logged.setdefault(name, []).append((row["train/images_seen"], value))
    charts = [chart(title, {n: c for n, c in logged.items() if belongs(n)}) for title, belongs in GROUPS]
    history: dict[str, Curve] = {}
    for entry in metrics.get("history", []):
        for name in (name for name in entry if name.startswith("val/")):
            history.setdefault(name.removeprefix("val/"), []).append((entry["images_seen"], entry[name]))
    charts += [chart(name, {name: curve}) for name, curve in history.items() if len(curve) > 1]
    drawn = "".join(charts)
    return f"<h2>Curves over images seen</h2>{drawn}" if drawn else ""


def samples(folder: Path, most: int = 8) -> str:
    """Up to ``most`` images, the first and the last among them."""
    images = sorted(folder.glob("[0-9]*.png"))
    chosen = spread(images, most)
    figures = "".join(
        f'<figure><img alt="samples after {int(p.stem):,} images" src="data:image/png;base64,'
        f'{base64.b64encode(p.read_bytes()).decode()}"><figcaption>{int(p.stem):,} images</figcaption></figure>'
        for p in chosen
    )
    return f"<h2>Samples</h2>{figures}" if figures else ""


def spread(items: Sequence[Path], most: int) -> list[Path]:
    """At most ``most`` of ``items``, evenly spread, both ends included."""
    if len(items) <= most:
        return list(items)
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


def config(run: Path) -> str:
    """The overrides and the whole config."""
    overrides = yaml.safe_load(_text(run / ".hydra" / "overrides.yaml")) or []  # type: ignore[no-untyped-call]
    typed = html.escape(" ".join(["python train.py", *map(str, overrides)]))
    whole = html.escape(_text(run / ".hydra" / "config.yaml"))
    details = f"<details><summary>Config</summary><pre>{whole}</pre></details>" if whole else ""
    return f"<h2>Command</h2><pre>{typed}</pre>{details}"


def environment(metrics: dict[str, Any]) -> str:
    """What made the run: versions, and the commit if it was a checkout."""
    made_by = ", ".join(f"{name} {version}" for name, version in metrics.get("provenance", {}).items())
    return f"<h2>Environment</h2><p>{html.escape(made_by)}</p>" if made_by else ""
