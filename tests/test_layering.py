"""The structure of the package: sizes, and what is imported when. What may import what, ``make lint`` checks."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import gan_zoo

PACKAGE = Path(gan_zoo.__file__).parent
CONF = Path(__file__).parents[1] / "conf"
MOST_FILES = 25
MOST_LINES = 50
LEAST_COMMENTS = 0.03
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SILENCES = re.compile(r"# (noqa|type: ignore)")


def test_no_module_is_loose() -> None:
    assert [file.name for file in PACKAGE.glob("*.py")] == ["__init__.py"]


def test_no_package_is_crowded() -> None:
    for folder in (
        folder for folder in PACKAGE.rglob("*") if folder.is_dir() and folder.name != "__pycache__"
    ):
        files = list(folder.glob("*.py"))
        assert len(files) <= MOST_FILES, folder
        assert not files or (folder / "__init__.py").is_file(), folder


def test_code_says_why_and_functions_are_short() -> None:
    """Comments are counted without those that silence a linter."""
    lines, comments, long = 0, 0, []
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        lines += text.count("\n")
        found = tokenize.generate_tokens(io.StringIO(text).readline)
        comments += sum(
            part.type == tokenize.COMMENT and not SILENCES.match(part.string) for part in found
        )
        functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, FUNCTIONS))
        long += [
            f"{file.name}: {node.name}"
            for node in functions
            if (node.end_lineno or 0) - node.lineno + 1 > MOST_LINES
        ]
    assert comments / lines >= LEAST_COMMENTS
    assert not long


def test_every_command_has_the_file_of_its_name() -> None:
    from gan_zoo.cli.app import app

    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    names = {name.replace("-", "_") for name in named}
    assert names == {file.stem for file in (PACKAGE / "cli").glob("[a-z]*.py")} - {"app", "common"}


def test_training_without_a_config_loads_no_hydra() -> None:
    modules = "gan_zoo.callbacks.checkpoints, gan_zoo.callbacks.evaluation, gan_zoo.launch.fit"
    code = f"import sys, {modules}; sys.exit(bool({{'hydra', 'omegaconf'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


@pytest.mark.parametrize("module", ["gan_zoo.launch.main", "gan_zoo.cli.app"])
def test_commands_answer_before_anything_heavy_is_imported(module: str) -> None:
    """``--help``, ``--cfg job`` and most complaints take no time."""
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'lightning', 'torchvision'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
