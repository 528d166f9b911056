"""Each way of failing is named where its readings say so, and nothing is where a run learns."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_zoo.diagnostics.failure_modes import History, diagnose
from gan_zoo.diagnostics.from_log import diagnose_run, read_history, summarize_findings
from gan_zoo.runs.folder import RunFolder

LOOKS = 20


def history(**courses: float | list[float]) -> History:
    """A run that learns, but for ``courses``: one value for all looks, or one for each."""
    learning = [(look + 1) / LOOKS for look in range(LOOKS)]
    full: dict[str, list[float]] = {
        "images_seen": [1000.0 * (look + 1) for look in range(LOOKS)],
        "realism/spread": learning,
        "realism/nearest": learning,
        "realism/offset": [1.2 - x for x in learning],
        "realism/travel": [0.1] * LOOKS,
        "realism/separation": [1 - 0.4 * x for x in learning],
        "realism/gap": [1.0] * LOOKS,
        "realism/memory": [0.1] * LOOKS,
        "d/grad_norm": [0.5] * LOOKS,
        "g/grad_norm": [0.5] * LOOKS,
    }
    for name, course in courses.items():
        full[name.replace("__", "/")] = course if isinstance(course, list) else [course] * LOOKS
    return [{name: course[look] for name, course in full.items()} for look in range(LOOKS)]


def named(run: History) -> set[str]:
    return {finding.name for finding in diagnose(run)}


def test_a_run_that_learns_is_well() -> None:
    assert diagnose(history()) == []


@pytest.mark.parametrize(
    ("mode", "courses"),
    [
        ("mode collapse", {"realism__spread": 0.05}),
        ("mode collapse", {"realism__nearest": 0.01}),
        ("mode collapse", {"realism__spread": [0.8] * 5 + [0.1] * 15}),
        (
            "saturated discriminator",
            {"realism__separation": 1.0, "realism__offset": 1.0, "realism__spread": 0.3},
        ),
        ("overfitting discriminator", {"realism__memory": 0.7, "realism__separation": 0.95}),
        ("vanishing generator gradient", {"g/grad_norm": [0.5] * 10 + [1e-3] * 10}),
        ("vanishing generator gradient", {"g/grad_norm": 1e-7}),
        ("explosion", {"realism__gap": [10.0**look for look in range(LOOKS)]}),
        ("explosion", {"d/grad_norm": 1e6}),
        ("oscillation", {"realism__travel": 1.5, "realism__offset": 0.9}),
    ],
)
def test_what_is_wrong_has_a_name_and_a_remedy(mode: str, courses: dict[str, float]) -> None:
    assert named(history(**courses)) == {mode}
    (finding,) = diagnose(history(**courses))
    assert finding.ongoing
    assert finding.suggestions
    assert mode in str(finding)


@pytest.mark.parametrize(
    "courses",
    [
        {"realism__separation": 1.0},  # always right, but samples still get better
        {"realism__spread": 0.05, "realism__travel": 0.01},  # alike because nothing moves yet
        {"realism__memory": 3.0, "realism__separation": 0.55},  # a ratio of two noises
        {"realism__spread": [0.05 * 1.1**look for look in range(LOOKS)]},  # slow, but on its way
        {"g/grad_norm": [1.0 / (look + 1) for look in range(LOOKS)]},  # settling
        {"realism__travel": 1.5, "realism__offset": 0.2},  # large steps near the goal
    ],
)
def test_what_looks_alike_is_not_called_so(courses: dict[str, float]) -> None:
    assert named(history(**courses)) == set()


def test_a_finding_that_went_away_says_so() -> None:
    (finding,) = diagnose(history(realism__travel=[1.5] * 10 + [0.1] * 10, realism__offset=0.9))
    assert not finding.ongoing
    assert finding.since == 6000


def test_an_early_verdict_needs_looks() -> None:
    assert diagnose(history(realism__spread=0.05)[:4]) == []
    assert diagnose([]) == []
    assert summarize_findings(history()[:4], []).startswith(
        "too early: 4 looks so far, 11 are needed"
    )
    assert summarize_findings(history(), []) == "nothing is wrong"


def test_the_log_tells_the_same(tmp_path: Path) -> None:
    run = history(realism__memory=0.7, realism__separation=0.95)
    names = list(run[0])
    lines = [",".join(["step", "d/realism", *(f"doctor/{name}" for name in names)])]
    for look, reading in enumerate(run):
        lines += [
            f"{look},0.5" + "," * len(names),
            f"{look},," + ",".join(str(reading[name]) for name in names),
        ]
    (tmp_path / "metrics.csv").write_text("\n".join([*lines, ""]))
    assert read_history(tmp_path / "metrics.csv") == run
    assert diagnose_run(RunFolder(tmp_path)) == (run, diagnose(run))


def test_damaged_cells_of_a_log_are_left_out(tmp_path: Path) -> None:
    lines = ["doctor/images_seen,doctor/x", "1,2", "oops,3", "4,oops", "5,", ",", "6"]
    (tmp_path / "metrics.csv").write_text("\n".join([*lines, ""]))
    assert read_history(tmp_path / "metrics.csv") == [
        {"images_seen": 1, "x": 2},
        {"images_seen": 4},
        {"images_seen": 5},
    ]


def test_a_run_that_diverged_has_exploded(tmp_path: Path) -> None:
    assert diagnose_run(RunFolder(tmp_path)) == ([], [])
    (tmp_path / "FAILED.txt").write_text("TrainingDiverged: d/realism = nan\n")
    _, findings = diagnose_run(RunFolder(tmp_path))
    assert [finding.name for finding in findings] == ["explosion"]
