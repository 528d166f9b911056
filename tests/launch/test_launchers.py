"""Launchers of Hydra's, each in its local form: jobs end with good run folders, and failures are not lost."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY = [
    "model=gan",
    "data=ring",
    "trainer=cpu",
    "trainer.max_steps=3",
    "trainer.log_every_n_steps=1",
]
TINY += ["callbacks=none", "metric=none", "generator.width=8", "discriminator.width=8"]
LAUNCHERS = {
    "joblib": ("hydra_joblib_launcher", ["launcher=joblib"]),
    "slurm": ("hydra_submitit_launcher", ["launcher=slurm", "hydra/launcher=submitit_local"]),
}


def installed(plugin: str) -> bool:
    try:
        return find_spec(f"hydra_plugins.{plugin}") is not None
    except ModuleNotFoundError:
        return False


def multirun(name: str, folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    plugin, chosen = LAUNCHERS[name]
    if not installed(plugin):
        pytest.skip(f"{plugin} is not installed")
    line = [
        sys.executable,
        str(ROOT / "train.py"),
        "-m",
        *chosen,
        *TINY,
        "hydra.sweep.dir=sweep",
        *overrides,
    ]
    environment = os.environ | {"HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_two_jobs_end_with_two_good_run_folders(name: str, tmp_path: Path) -> None:
    done = multirun(name, tmp_path, "seed=1,2")
    assert done.returncode == 0, done.stderr
    for number, seed in enumerate((1, 2)):
        run = tmp_path / "sweep" / f"{number}-gan-nonsaturating-ring"
        assert yaml.safe_load((run / ".hydra" / "config.yaml").read_text())["seed"] == seed
        assert len((run / "metrics.csv").read_text().splitlines()) == 4, "a header and three steps"
        assert (run / "report.html").is_file()
        assert not (run / "FAILED.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_job_that_fails_takes_no_other_along_and_is_named(name: str, tmp_path: Path) -> None:
    done = multirun(name, tmp_path, "optim.discriminator.lr=1e30,1e-3")
    assert done.returncode == 1
    said = "error: not every job ended well, the first that failed was job 0: training diverged at step"
    assert [line.startswith(said) for line in done.stderr.splitlines()].count(True) == 1, (
        done.stderr
    )
    assert "Traceback" not in done.stderr
    assert (
        "diverged" in (tmp_path / "sweep" / "0-gan-nonsaturating-ring" / "FAILED.txt").read_text()
    )
    assert not (tmp_path / "sweep" / "1-gan-nonsaturating-ring" / "FAILED.txt").exists()


@pytest.mark.slow
def test_slurm_without_slurm_is_one_line(tmp_path: Path) -> None:
    if not installed("hydra_submitit_launcher"):
        pytest.skip("hydra_submitit_launcher is not installed")
    line = [sys.executable, str(ROOT / "train.py"), "-m", "launcher=slurm", *TINY, "seed=1,2"]
    environment = os.environ | {"PATH": str(tmp_path)}
    done = subprocess.run(
        line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: launcher=slurm submits with SLURM's commands, and there is no srun here"
    )
    assert len(done.stderr.splitlines()) == 1
