"""Output that nobody reads never stops or ends a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gan_zoo.core.output import TIMEOUT, _Unblocking

ROOT = Path(__file__).parents[2]
RING = (
    "model=gan",
    "data=ring",
    "metric=none",
    "callbacks.doctor=null",
    "trainer=cpu",
    "trainer.log_every_n_steps=1",
)


def start(*arguments: str, cwd: Path, **options) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "dumb"}
    line = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(line, cwd=cwd, env=environment, start_new_session=True, **options)


def test_what_a_pipe_takes_arrives_whole() -> None:
    read, write = os.pipe()
    raw = _Unblocking(write)
    text = b"x" * 10_000
    assert raw.write(text) == len(text)
    os.close(write)
    assert os.read(read, 100_000) == text
    os.close(read)


def test_a_full_pipe_is_waited_for_once_and_then_dropped() -> None:
    read, write = os.pipe()
    raw = _Unblocking(write)
    began = time.monotonic()
    assert raw.write(b"x" * 1_000_000) == 1_000_000
    assert raw.write(b"x" * 1_000_000) == 1_000_000
    assert time.monotonic() - began < TIMEOUT + 1
    assert len(os.read(read, 1_000_000)) >= 4096
    os.close(read)
    assert raw.write(b"nobody reads") == 12
    os.close(write)
    assert raw.write(b"closed") == 6


@pytest.mark.parametrize("arguments", [("--help",), ("--cfg", "job")])
def test_a_reader_that_leaves(arguments: tuple[str, ...], tmp_path: Path) -> None:
    process = start(*arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 0


def test_a_run_whose_output_nobody_takes(tmp_path: Path) -> None:
    """Its reader left at once; on SIGHUP, as from a closed terminal, it saves and leaves with 129."""
    process = start(
        *RING,
        "trainer.max_steps=1000000",
        "hydra.run.dir=run",
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    process.stdout.close()
    until = time.monotonic() + 120
    while (
        not (tmp_path / "run" / "metrics.csv").exists()
        and process.poll() is None
        and time.monotonic() < until
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 129
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert list((tmp_path / "run" / "samples").glob("*.png")), (
        "a run that is stopped leaves an image"
    )


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0])
def test_ctrl_c_before_training(after: float, tmp_path: Path) -> None:
    process = start(*RING, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in err
    for run in (tmp_path / "outputs").glob("*/*"):
        assert any(run.iterdir()), "an empty run folder is left"
