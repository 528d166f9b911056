"""The house: rooms, their sizes, and what they load. What may import what is held by ``make lint`` (import-linter)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gan_zoo

PACKAGE = Path(gan_zoo.__file__).parent
CONF = Path(__file__).parents[1] / "conf"
MOST_FILES = 25


def test_no_module_is_loose() -> None:
    assert [file.name for file in PACKAGE.glob("*.py")] == ["__init__.py"]


def test_no_room_is_crowded() -> None:
    for folder in (
        folder for folder in PACKAGE.rglob("*") if folder.is_dir() and folder.name != "__pycache__"
    ):
        files = list(folder.glob("*.py"))
        assert len(files) <= MOST_FILES, folder
        assert not files or (folder / "__init__.py").is_file(), folder


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
