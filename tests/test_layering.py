"""The imports are the architecture."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gan_zoo

PACKAGE = Path(gan_zoo.__file__).parent
GROUND = {"types", "noise", "distributed"}
NOUNS = ("losses", "regularizers", "networks", "games")
MAY_IMPORT_HYDRA = {"compose.py", "build.py", "run.py", "cli.py", "errors.py", "launching.py", "spaces.py"}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("noun", NOUNS)
def test_the_four_nouns_stand_on_the_ground_alone(noun: str) -> None:
    allowed = {f"gan_zoo.{name}" for name in GROUND}
    for file in (PACKAGE / noun).rglob("*.py"):
        for name in imports(file):
            root = name.split(".")[0]
            assert root not in ("lightning", "hydra", "omegaconf"), f"{file} imports {name}"
            assert root != "gan_zoo" or name in allowed or name.startswith(f"gan_zoo.{noun}"), f"{file} imports {name}"


def test_the_ground_imports_nothing_of_ours_above_it() -> None:
    for name in GROUND:
        ours = {i for i in imports(PACKAGE / f"{name}.py") if i.startswith("gan_zoo")}
        assert ours <= {f"gan_zoo.{other}" for other in GROUND}


def test_only_entry_points_know_hydra() -> None:
    for file in PACKAGE.rglob("*.py"):
        if any(name.split(".")[0] in ("hydra", "omegaconf") for name in imports(file)):
            assert file.name in MAY_IMPORT_HYDRA, file


def test_there_is_one_lightning_module() -> None:
    defining = [f.name for f in PACKAGE.rglob("*.py") if "(LightningModule)" in f.read_text()]
    assert defining == ["module.py"]


def test_nothing_calls_backward_behind_lightning() -> None:
    for file in PACKAGE.rglob("*.py"):
        assert ".backward(" not in file.read_text(), file


def test_the_command_line_answers_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys, gan_zoo.launch.train; assert not {'torch', 'lightning', 'torchvision'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
