"""--help names every choice there is, and says what it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gan_zoo.config import help as help_of
from gan_zoo.core.paths import CONF

ROOT = Path(__file__).parents[2]
GROUPS = sorted(
    {str(f.parent.relative_to(CONF)) for f in CONF.rglob("*.yaml")} - {".", "hydra/launcher"}
)


def sections(page: str) -> dict[str, list[str]]:
    """The lines of each group, by the group's name."""
    blocks = [block.splitlines() for block in page.split("\n\n")]
    return {
        block[0].rstrip("=").split("@")[0]: block[1:] for block in blocks if block[0].endswith("=")
    }


def test_help_is_printed_without_composing_anything() -> None:
    for command in ([str(ROOT / "train.py")], ["-m", "gan_zoo.cli.app", "train"]):
        line = [sys.executable, *command, "loss=there_is_none", "--help"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("usage: ")
        assert set(sections(done.stdout)) == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_has_its_line(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = sections(help_of.render([], CONF))[group]
    assert all(len(line) <= 100 for line in lines)
    said = {words[0]: words[1:] for line in lines if (words := line.lstrip(" *").split(maxsplit=1))}
    choices = {file.stem for file in (CONF / group).glob("*.yaml") if not file.stem.startswith("_")}
    assert choices <= set(said)
    assert all(said[name] and "@package" not in said[name][0] for name in choices)
    assert not any(name.startswith("_") for name in said)


def test_defaults_are_marked() -> None:
    page = help_of.render([], CONF)
    for choice in ("dcgan", "nonsaturating", "openmoji", "images", "csv"):
        assert f"\n * {choice} " in page


@pytest.mark.parametrize("flag", [["--config-dir", "{}"], ["--config-dir={}"], ["-cd", "{}"]])
def test_choices_of_ones_own_are_named(flag: list[str], tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("# A loss of my own.\n{}\n")
    (tmp_path / "loss" / "_hidden.yaml").write_text("# Nobody's.\n{}\n")
    loss = sections(help_of.render([part.format(tmp_path) for part in flag], CONF))["loss"]
    assert [line.split(maxsplit=1) for line in loss if "mine" in line] == [
        ["mine", "A loss of my own."]
    ]
    assert not any("_hidden" in line for line in loss)


def test_hydra_keeps_its_own_help() -> None:
    assert not help_of.is_requested(["--hydra-help"])
    assert not help_of.is_requested(["loss=hinge", "--cfg", "job"])
