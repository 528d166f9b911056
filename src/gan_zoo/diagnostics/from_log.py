"""The diagnosis of a run folder, from its log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_zoo.core.files import numbers_of
from gan_zoo.diagnostics.failure_modes import MIN_CHECKS, REMEDIES, Finding, History, Reading, diagnose


def summarize_findings(history: Sequence[Reading], findings: Sequence[Finding]) -> str:
    """The findings that last, by name; without any, a line that there are none or that there is not enough data yet."""
    if named := dict.fromkeys(finding.name for finding in findings if finding.lasting):
        return ", ".join(named)
    if len(history) <= MIN_CHECKS:
        looks = f"{len(history)} look{'' if len(history) == 1 else 's'}"
        return f"too early: {looks} so far, {MIN_CHECKS + 1} are needed (callbacks.doctor.every_images)"
    return "nothing is wrong"


def diagnose_run(run: Path) -> tuple[History, list[Finding]]:
    """All looks at the run in a folder, and what they found."""
    history, failure = logged(run / "metrics.csv"), run / "FAILED.txt"
    findings = diagnose(history)
    diverged = failure.is_file() and failure.read_text().startswith("TrainingDiverged")
    if diverged and not any(finding.name == "explosion" for finding in findings):
        images = int(history[-1]["images_seen"]) if history else 0
        findings.append(Finding("explosion", "training", "it diverged", images, True, REMEDIES["explosion"]))
    return history, findings


def logged(log: Path) -> History:
    """The looks that a run's ``metrics.csv`` holds: its columns ``doctor/...``."""
    looks = [
        {name.removeprefix("doctor/"): value for name, value in row.items() if name.startswith("doctor/")}
        for row in numbers_of(log)
    ]
    return [look for look in looks if "images_seen" in look]
