"""Jobs on Ray: a cluster of two nodes on this machine, each with room for one job."""

from __future__ import annotations

import _thread
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gan_zoo.core.errors import ConfigError
from gan_zoo.launch import on_ray
from gan_zoo.launch.on_ray import _check_room, execute
from gan_zoo.launch.processes import Job
from tests.launch.test_launchers import ROOT, TINY


def test_a_job_that_fits_on_no_node_is_refused() -> None:
    nodes: list[dict[str, Any]] = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    _check_room(nodes, {"num_cpus": 4})
    with pytest.raises(ConfigError, match="a job takes CPU 1, GPU 1, the nodes have CPU 4, GPU 0"):
        _check_room(nodes, {"num_cpus": 1, "num_gpus": 1})
    with pytest.raises(ConfigError, match="a job takes CPU 5, the nodes have"):
        _check_room(nodes, {"num_cpus": 5})


def test_a_command_has_its_variables_and_its_log(tmp_path: Path) -> None:
    program = "import os, pathlib; print(os.environ['MINE'], pathlib.Path.cwd()); exit(3)"
    log = tmp_path / "logs" / "job.log"
    code, seconds = execute([sys.executable, "-c", program], {"MINE": "7"}, str(tmp_path), str(log))
    assert code == 3
    assert seconds > 0
    assert log.read_text().split() == ["7", str(tmp_path)]


SAVES_WHEN_ASKED = """
import pathlib, signal, sys, time

def save(*of):
    pathlib.Path("saved").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, save)
pathlib.Path("begun").touch()
time.sleep(60)
"""


def wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.05)


def test_a_command_saves_when_its_task_is_cancelled(tmp_path: Path) -> None:
    def cancel() -> None:
        wait_for(tmp_path / "begun")
        _thread.interrupt_main()  # as Ray does it

    # A shell's background jobs ignore SIGINT, which workers of Ray do not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=cancel).start()
    begun = time.monotonic()
    command = [sys.executable, "-c", SAVES_WHEN_ASKED]
    try:
        with pytest.raises(KeyboardInterrupt):
            execute(command, {}, str(tmp_path), str(tmp_path / "log"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 40
    assert (tmp_path / "saved").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="it takes Linux's prctl")
def test_a_command_saves_when_its_worker_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVES_WHEN_ASKED]
    program = f"""from gan_zoo.launch.on_ray import execute
execute({command!r}, {{}}, {str(tmp_path)!r}, {str(tmp_path / "log")!r})"""
    worker = subprocess.Popen([sys.executable, "-c", program])
    wait_for(tmp_path / "begun")
    worker.kill()
    worker.wait()
    wait_for(tmp_path / "saved")


def test_a_job_that_never_started_has_a_log(tmp_path: Path, monkeypatch: Any) -> None:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

    def lost(reference: Any) -> None:
        raise ray.exceptions.TaskCancelledError

    monkeypatch.setattr(ray, "get", lost)
    job = Job([], tmp_path / "sweep" / "hinge" / "0")
    on_ray._take_result(job, None)
    assert job.exit_code == 1
    assert "Ray: TaskCancelledError" in (tmp_path / "sweep" / "hinge" / "0.log").read_text()


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
        for address in (f"{host}:{port}", f"ray://{host}:{port}", f"{host}:port"):
            with pytest.raises(ConfigError, match="must be that of a Ray cluster, got '"):
                on_ray.run_on_ray([], lambda job: None, [], address)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def multirun(cluster: Any, *overrides: str) -> list[str]:
    ray = ["launcher=ray", f"hydra.launcher.address={cluster.address}"]
    return [sys.executable, str(ROOT / "train.py"), "-m", *ray, *TINY, *overrides]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_of_six_jobs_fails_and_the_others_do_not(cluster: Any, tmp_path: Path) -> None:
    vary = ["optim.discriminator.lr=1e30,1e-3", "seed=1,2,3", "hydra.sweep.dir=sweep"]
    line = multirun(cluster, *vary, "trainer.max_steps=4")
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "3 of 6 jobs failed: 0-gan-nonsaturating-ring: TrainingDiverged: " in done.stderr
    jobs = json.loads((tmp_path / "sweep" / "jobs.json").read_text())
    assert [job["exit_code"] for job in jobs] == [1, 1, 1, 0, 0, 0]
    assert len(list((tmp_path / "sweep").glob("*/FAILED.txt"))) == 3
    assert len(list((tmp_path / "sweep").glob("*.log"))) == 6

    # The same command does what is missing: nothing that went well.
    again = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert "3 of 6 jobs in sweep are done" in again.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_jobs_save_when_the_multirun_is_stopped(cluster: Any, tmp_path: Path) -> None:
    saved = ["callbacks=default", "callbacks.progress=null", "metric=none"]
    vary = ["seed=1,2,3", "hydra.sweep.dir=sweep", "trainer.max_steps=1000000", *saved]
    process = subprocess.Popen(
        multirun(cluster, *vary), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 240
    while len(list((tmp_path / "sweep").glob("*/metrics.csv"))) < 2:
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + signal.SIGTERM, stderr
    checkpoints = list((tmp_path / "sweep").glob("*/checkpoints/last.ckpt"))
    assert len(checkpoints) == 2, "the two that were running"
