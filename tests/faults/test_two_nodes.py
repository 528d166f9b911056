"""Two machines of one process each, which share a disk or do not, as torchrun starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.running import finish, overrides, start, wait_for, weights_hash
from tests.processes import free_port

pytestmark = pytest.mark.slow
STEPS, EVERY = 400, 40
BATCH = "data.batch_size=48"  # that of one, two and three processes


class Nodes:
    """Machines with a working folder, a home and a cache of their own; the run is on ``run``.

    Args:
        folder: of all of them.
        run: the run folder, as each machine has it; one path is a shared disk.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.folder = folder
        self.run = run
        self.homes = [folder / "first", folder / "second"]
        for home in self.homes:
            (home / "home").mkdir(parents=True, exist_ok=True)

    def arguments(self, *more: str, steps: int = STEPS) -> list[str]:
        place = (f"hydra.run.dir={self.run}", "resume=auto")
        return [*overrides("gan", steps, EVERY), BATCH, *place, *more]

    def start(self, *more: str, steps: int = STEPS) -> list[subprocess.Popen[str]]:
        port = free_port()
        return [
            start(
                self.arguments("trainer=ddp_cpu", *more, steps=steps),
                home,
                [
                    *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2"),
                    *(f"--node-rank={rank}", "--nproc-per-node=1"),
                    *("--master-addr=127.0.0.1", f"--master-port={port}"),
                ],
                HOME=str(home / "home"),
                GAN_ZOO_CACHE=str(home / "cache"),
                GLOO_SOCKET_IFNAME="lo",
            )
            for rank, home in enumerate(self.homes)
        ]

    def finish(self, *more: str, steps: int = STEPS) -> list[tuple[int, str]]:
        """Exit code and standard error of each machine."""
        processes = self.start(*more, steps=steps)
        errors = [process.communicate(timeout=180)[1] for process in processes]
        return [(process.returncode, text) for process, text in zip(processes, errors, strict=True)]


def alone(folder: Path, trainer: str) -> str:
    """The weights' hash of the same run on this machine alone."""
    folder.mkdir()
    line = [*overrides("gan", STEPS, EVERY), BATCH, f"trainer={trainer}", "hydra.run.dir=run"]
    done = finish(line, folder)
    assert done.returncode == 0, done.stderr
    return weights_hash(folder / "run")


def children_of(parent: int) -> list[int]:
    """The processes that ``parent`` has started, which torchrun gives sessions of their own."""
    listed = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


@pytest.fixture
def shared(tmp_path: Path) -> Nodes:
    return Nodes(tmp_path, str(tmp_path / "shared" / "run"))


def test_two_machines_equal_two_processes(shared: Nodes, tmp_path: Path) -> None:
    done = shared.finish("metric=modes", "callbacks.evaluation.num_samples=500")
    assert [code for code, _ in done] == [0, 0], done
    run = Path(shared.run)
    assert weights_hash(run) == alone(tmp_path / "alone", "ddp_cpu")

    # Both evaluated, and nothing was written but the one run folder.
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["metrics"][0]["protocol"]["world_size"] == 2
    assert [list(home.glob("*")) for home in shared.homes] == [
        [home / "home"] for home in shared.homes
    ]


@pytest.mark.fault("a machine disappears")
@pytest.mark.parametrize("which", [0, 1])
def test_a_machine_disappears_and_the_run_goes_on(
    which: int, shared: Nodes, tmp_path: Path
) -> None:
    machines = shared.start()
    wait_for(Path(shared.run), 2 * EVERY, machines[0])
    for process in (*children_of(machines[which].pid), machines[which].pid):
        os.kill(process, signal.SIGKILL)
    died = time.monotonic()
    _, text = machines[1 - which].communicate(timeout=90)
    assert time.monotonic() - died < 60
    assert machines[1 - which].returncode != 0
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, text
    assert "another process" in lines[0]

    # It goes on alone, on two machines, and on three processes here.
    for steps, trainer in ((STEPS - 100, "cpu"), (STEPS - 50, None), (STEPS, "ddp_cpu")):
        if trainer is None:
            assert [code for code, _ in shared.finish(steps=steps)] == [0, 0]
            continue
        devices = ["trainer.devices=3"] if trainer == "ddp_cpu" else []
        line = shared.arguments(f"trainer={trainer}", *devices, steps=steps)
        done = finish(line, shared.homes[0])
        assert done.returncode == 0, done.stderr
    metrics = json.loads((Path(shared.run) / "metrics.json").read_text())
    assert metrics["images_seen"] == 48 * STEPS


@pytest.mark.fault("machines without a shared disk")
def test_machines_without_a_shared_disk_train_but_do_not_resume(tmp_path: Path) -> None:
    apart = Nodes(tmp_path, "run")
    assert [code for code, _ in apart.finish(steps=80)] == [0, 0]
    assert (apart.homes[0] / "run" / "metrics.json").exists()
    assert list((apart.homes[1] / "run").rglob("*")) == []
    for code, text in apart.finish():
        assert code != 0
        assert "every machine needs the same run folder on a shared disk" in text
