"""Every example of docs/adding.md is run as it stands there, each section by itself."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLE = re.compile(r"<!-- example: (.+?) -->\n```\w*\n(.+?)```", flags=re.DOTALL)
SECTIONS = {
    title: dict(EXAMPLE.findall(text))
    for title, text in re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", (DOCS / "adding.md").read_text(), re.DOTALL | re.M)
}
LOGGED = {  # what the run of a section logs that no other would
    "A loss": "d/realism/gap",
    "A network": "g/realism",
    "A model": "g/second",
    "A regularizer": "d/realism/drift",
    "A data set": "g/realism",
    "A score": "val/nearest_real",
}
QUICK = ["trainer=cpu", "trainer.max_steps=5", "trainer.log_every_n_steps=5", "data.batch_size=16"]
QUICK += ["hydra.run.dir=run"]
SCORED = ["callbacks.samples=null", "callbacks.checkpoints=null", "callbacks.progress=null"]
SCORED += ["callbacks.evaluation.num_samples=32"]


def test_there_is_an_example_of_everything() -> None:
    assert set(SECTIONS) == set(LOGGED)


EVERY_TIME = "A model"  # the README's loss is run by tests/test_readme.py


@pytest.mark.parametrize(
    "section", [EVERY_TIME, *(pytest.param(part, marks=pytest.mark.slow) for part in LOGGED if part != EVERY_TIME)]
)
def test_a_part_is_one_file_and_one_yaml(section: str, tmp_path: Path) -> None:
    files = dict(SECTIONS[section])
    program, train, *arguments = shlex.split(files.pop("command"))
    assert (program, train) == ("gan-zoo", "train")
    assert sorted(Path(name).suffix for name in files) == [".py", ".yaml"]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    quick = [*QUICK, *(SCORED if section == "A score" else ["callbacks=none"])]
    line = [sys.executable, "-m", "gan_zoo.cli.app", "train", *arguments, *quick]
    done = subprocess.run(line, cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (target,) = re.findall(r"_target_: (\S+)", next(text for name, text in files.items() if name.endswith(".yaml")))
    assert f"_target_: {target}" in (tmp_path / "run" / ".hydra" / "config.yaml").read_text()
    assert LOGGED[section] in (tmp_path / "run" / "metrics.csv").read_text()


COMMANDS = sorted(
    {
        line.split("  #")[0].strip()
        for page in DOCS.glob("*.md")
        for line in re.findall(r"python train\.py ((?:-m )?[^`\n]*=[^`\n]*)", page.read_text())
        if "=..." not in line
    }
)


def first_of(word: str) -> str:
    """The first value of a sweep, the word itself where its commas are a list's."""
    return word if "[" in word else word.split(",")[0]


def test_commands_of_the_pages_compose(composed) -> None:
    assert len(COMMANDS) > 30
    for line in COMMANDS:
        words = [word for word in shlex.split(os.path.expandvars(line)) if "=" in word]
        own = [word for word in words if not word.startswith(("resume=", "hydra.", "launcher="))]
        composed(*[first_of(word) for word in own])
