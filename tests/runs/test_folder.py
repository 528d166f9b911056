"""The files of a run folder: read, written, missing, damaged, locked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gan_zoo.core.errors import ConfigError
from gan_zoo.runs.folder import RunFolder


def test_what_is_not_there_reads_as_empty(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "nowhere")
    assert run.metrics() == {}
    assert run.failure == ""
    assert run.config() is None
    assert run.config_text("overrides") == ""
    assert run.sample_grids() == []
    assert run.checkpoints.entries() == []
    assert not run.is_run
    assert not run.has_finished
    assert not run.path.exists(), "reading makes nothing"


def test_metrics_of_one_protocol_are_kept_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_metrics(
        {"images_seen": 5, "metrics": [{"name": "fd", "value": 3.0, "protocol": {"n": 1}}]}
    )
    run.append_metrics(
        [
            {"name": "fd", "value": 2.0, "protocol": {"n": 1}},
            {"name": "fd", "value": 1.0, "protocol": {}},
        ]
    )
    assert [entry["value"] for entry in run.metrics()["metrics"]] == [2.0, 1.0]
    assert run.metrics()["images_seen"] == 5
    assert run.has_finished


@pytest.mark.parametrize("damage", ["{", "[]", "\x00"])
def test_damaged_metrics_are_named(damage: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(damage)
    with pytest.raises(ConfigError, match=r"metrics.json is damaged"):
        RunFolder(tmp_path).metrics()


def test_config_failure_and_images(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_config({"config": "seed: 3\n", "overrides": "- loss=hinge\n"})
    assert run.is_run
    assert run.config() == {"seed": 3}
    assert run.config("overrides") == ["loss=hinge"]
    assert [
        found.path for found in RunFolder.find_below(tmp_path.parent) if found.path == tmp_path
    ] == [tmp_path]
    run.write_failure("TrainingDiverged: d/realism = nan\n")
    assert run.failure == "TrainingDiverged: d/realism = nan"
    run.clear_failure()
    assert run.failure == ""
    for images in (1280, 64):
        path = run.sample_grid_path(images)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.name for path in run.sample_grids()] == ["000000064.png", "000001280.png"]
    (tmp_path / ".hydra" / "config.yaml").write_text("{")
    with pytest.raises(ConfigError, match=r"config.yaml cannot be read"):
        run.config()


def test_the_folder_of_a_checkpoint(tmp_path: Path) -> None:
    assert (
        RunFolder.of_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").path
        == tmp_path / "run"
    )
    assert RunFolder.of_checkpoint(tmp_path / "copied.ckpt").path == tmp_path


def test_two_processes_cannot_train_into_one_folder_and_a_dead_one_holds_nothing(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, time; from gan_zoo.runs.folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).locked(): print('held', flush=True); time.sleep(60)"
    )
    run = RunFolder(tmp_path / "run")
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with (
        pytest.raises(ConfigError, match="another process is training into"),
        run.locked(timeout=0.1),
    ):
        pass
    other.kill()
    other.wait()
    with run.locked(timeout=5):
        pass
