"""The diagnosis of a run folder, from its log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_zoo.core.files import numeric_rows
from gan_zoo.diagnostics.failure_modes import (
    MIN_CHECKS,
    SUGGESTIONS,
    Finding,
    History,
    Measurement,
    diagnose,
)
from gan_zoo.runs.folder import RunFolder


def summarize_findings(history: Sequence[Measurement], findings: Sequence[Finding]) -> str:
    """The findings that last, by name; without any, a line that there are none or that there is not
    enough data yet.
    """
    if named := dict.fromkeys(finding.name for finding in findings if finding.ongoing):
        return ", ".join(named)
    if len(history) <= MIN_CHECKS:
        looks = f"{len(history)} look{'' if len(history) == 1 else 's'}"
        return (
            f"too early: {looks} so far, {MIN_CHECKS + 1} are needed"
            " (callbacks.doctor.every_images)"
        )
    return "nothing is wrong"


def diagnose_run(run: RunFolder) -> tuple[History, list[Finding]]:
    """All looks at the run in a folder, and what they found."""
    history = read_history(run.log)
    findings = diagnose(history)

    # A run may diverge between two looks, without a sign in them.
    diverged = run.failure.startswith("TrainingDiverged")
    if diverged and not any(finding.name == "explosion" for finding in findings):
        images = int(history[-1]["images_seen"]) if history else 0
        findings.append(
            Finding("explosion", "training", "it diverged", images, True, SUGGESTIONS["explosion"])
        )
    return history, findings


def read_history(log: Path) -> History:
    """The looks that a run's ``metrics.csv`` holds: its columns ``doctor/...``."""
    looks = [
        {
            name.removeprefix("doctor/"): value
            for name, value in row.items()
            if name.startswith("doctor/")
        }
        for row in numeric_rows(log)
    ]
    return [look for look in looks if "images_seen" in look]
