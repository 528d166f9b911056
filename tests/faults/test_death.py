"""Runs that are killed, interrupted and starved, and what they come to all the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.folder import RunFolder
from tests.faults.running import (
    finish,
    kill_session,
    moments,
    overrides,
    start,
    wait_for,
    weights_hash,
)
from tests.processes import free_port

LENGTH = {"dcgan": (240, 3), "cgan": (300, 3), "cyclegan": (90, 2), "gan": (1000, 50)}
KILLS = {"dcgan": 10, "cgan": 10, "cyclegan": 10}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Hash and duration of a run that nothing happens to."""
    known: dict[tuple, tuple[str, float]] = {}

    def make(preset: str, *more: str) -> tuple[str, float]:
        if (preset, more) not in known:
            folder, begin = tmp_path_factory.mktemp(preset), time.monotonic()
            done = finish([*overrides(preset, *LENGTH[preset]), "hydra.run.dir=run", *more], folder)
            assert done.returncode == 0, done.stderr
            known[preset, more] = weights_hash(folder / "run"), time.monotonic() - begin
        return known[preset, more]

    return make


def arguments(preset: str, *more: str) -> list[str]:
    return [*overrides(preset, *LENGTH[preset]), "hydra.run.dir=run", "resume=auto", *more]


def goes_on_to(expected: str, preset: str, cwd: Path, *more: str) -> None:
    done = finish(arguments(preset, *more), cwd)
    assert done.returncode == 0, done.stderr
    assert weights_hash(cwd / "run") == expected


@pytest.mark.fault("kill -9")
@pytest.mark.parametrize("preset", [pytest.param(name, marks=pytest.mark.slow) for name in KILLS])
def test_killed_at_random_moments(preset: str, undisturbed, tmp_path: Path, tally) -> None:
    expected, seconds = undisturbed(preset)

    def outcome(number: int) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start(arguments(preset), folder)
        time.sleep(
            1.3 * moments(KILLS[preset], seconds, seed=sum(map(ord, preset)))[number]
        )  # two at a time are slower
        kill_session(process)
        process.communicate()
        done = finish(arguments(preset), folder)
        return weights_hash(folder / "run") if done.returncode == 0 else done.stderr

    with ThreadPoolExecutor(2) as two:
        outcomes = list(two.map(outcome, range(KILLS[preset])))
    for found in outcomes[1:]:
        tally.count("kill -9", found == expected)
    assert outcomes == [expected] * KILLS[preset]


def killed_after(step: int, cwd: Path) -> None:
    """Train, and kill once a checkpoint of this step or a later one is listed."""
    process = start(arguments("dcgan"), cwd)
    wait_for(cwd / "run", step, process)
    kill_session(process)
    process.communicate()


@pytest.mark.slow  # `make test-faults` runs it
@pytest.mark.fault("kill -9")
def test_killed_while_it_trains(undisturbed, tmp_path: Path) -> None:
    expected, _ = undisturbed("dcgan")
    killed_after(30, tmp_path)
    goes_on_to(expected, "dcgan", tmp_path)


@pytest.mark.slow
@pytest.mark.fault("kill -9 again and again")
def test_killed_again_and_again(undisturbed, tmp_path: Path) -> None:
    expected, _ = undisturbed("dcgan")
    reached = -1
    for _ in range(5):
        killed_after(reached + 12, tmp_path)
        reached = RunFolder(tmp_path / "run").checkpoints.entries()[-1].step
    assert 60 <= reached < 240
    goes_on_to(expected, "dcgan", tmp_path)


@pytest.mark.slow
@pytest.mark.fault("kill -9 between two steps of saving")
@pytest.mark.parametrize("at", ["replace", "fsync", "link", "unlink"])
@pytest.mark.parametrize("call", [7, 20])
def test_killed_at_every_system_call_of_saving(
    at: str, call: int, undisturbed, tmp_path: Path
) -> None:
    """The process dies by its own hand right before the n-th call of a kind."""
    expected, _ = undisturbed("dcgan")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        f"honest, calls = os.{at}, []\n"
        "def dies(*a, **k):\n"
        "    calls.append(any('checkpoints' in str(x) for x in a) or isinstance(a[0], int))\n"
        f"    if sum(calls) >= {call}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return honest(*a, **k)\n"
        f"os.{at} = dies\n"
    )
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"
    process = start(arguments("dcgan"), tmp_path, PYTHONPATH=path)
    process.communicate(timeout=280)
    assert process.returncode == -signal.SIGKILL
    (tmp_path / "sitecustomize.py").unlink()
    goes_on_to(expected, "dcgan", tmp_path)


# ------------------------------------------------------------------------ signals


@pytest.mark.slow  # test_moments sends signals in one process
@pytest.mark.fault("SIGTERM, SIGINT")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_leaves(number: int, code: int, undisturbed, tmp_path: Path) -> None:
    expected, _ = undisturbed("gan")
    saves_rarely = "callbacks.checkpoints.every_images=1000000"
    process = start(arguments("gan", saves_rarely), tmp_path)
    wait_for_rows(tmp_path / "run", process)
    sent = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert process.returncode == code
    assert f"stopped by {signal.Signals(number).name} at step" in err
    assert "to go on: resume=" in err
    assert not (tmp_path / "run" / "FAILED.txt").exists()
    goes_on_to(expected, "gan", tmp_path)


@pytest.mark.slow
@pytest.mark.fault("SIGTERM, SIGINT")
def test_a_signal_to_a_run_that_saves_nothing_has_its_code_too(tmp_path: Path) -> None:
    bare = ("model=gan", "data=ring", "callbacks=none", "trainer=cpu", "trainer.max_steps=1000000")
    process = start([*bare, "hydra.run.dir=run"], tmp_path)
    wait_for_rows(tmp_path / "run", process)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err


@pytest.mark.slow
@pytest.mark.fault("SIGTERM, SIGINT")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_group_leaves_workers_to_the_step(
    number: int, code: int, tmp_path: Path
) -> None:
    data = ("data=digits", "data.num_workers=1", "data.memory_limit=0")
    narrow = ("generator.width=8", "discriminator.width=8", "trainer.log_every_n_steps=5")
    line = ("trainer=cpu", "trainer.max_steps=1000000", "callbacks.evaluation=null")
    process = start([*data, *narrow, *line, "hydra.run.dir=run"], tmp_path)
    wait_for_rows(tmp_path / "run", process)
    kill_session(process, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert f"stopped by {signal.Signals(number).name} at step" in err
    assert "Traceback" not in err


def wait_for_rows(run: Path, process: subprocess.Popen) -> None:
    """Until the run has logged something."""
    until = time.monotonic() + 120
    while (
        process.poll() is None and time.monotonic() < until and not (run / "metrics.csv").exists()
    ):
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.fault("SIGTERM during an evaluation")
def test_a_signal_during_an_evaluation(tmp_path: Path) -> None:
    scoring = ("metric=images", "extractor.image_size=224", "callbacks.evaluation.num_samples=256")
    process = start(arguments("dcgan", *scoring), tmp_path)
    wait_for(tmp_path / "run", 240, process)  # trained to the end, and now scoring
    time.sleep(1.0)
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert process.returncode == 143
    done = finish(arguments("dcgan", *scoring), tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [entry["step"] for entry in metrics["history"]] == [240]
    assert RunFolder(tmp_path / "run").checkpoints.best == 240


@pytest.mark.slow
@pytest.mark.fault("a second SIGINT")
def test_a_second_sigint_leaves_at_once_and_loses_nothing_saved(
    undisturbed, tmp_path: Path
) -> None:
    expected, _ = undisturbed("dcgan")
    process = start(arguments("dcgan"), tmp_path)
    wait_for(tmp_path / "run", 60, process)
    process.send_signal(signal.SIGINT)
    time.sleep(1.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    goes_on_to(expected, "dcgan", tmp_path)


TWO = ("trainer=ddp_cpu",)


@pytest.mark.slow
@pytest.mark.fault("SIGTERM with two processes")
@pytest.mark.parametrize("to", ["rank 0", "rank 1", "all"])
def test_a_signal_to_any_of_two_processes(to: str, undisturbed, tmp_path: Path) -> None:
    expected, _ = undisturbed("gan", *TWO)
    process = start(arguments("gan", *TWO), tmp_path)
    wait_for(tmp_path / "run", 100, process)
    sent = time.monotonic()
    if to == "all":
        kill_session(process, signal.SIGTERM)
    else:
        os.kill(process.pid if to == "rank 0" else child_of(process.pid), signal.SIGTERM)
    process.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert process.returncode == 143
    goes_on_to(expected, "gan", tmp_path, *TWO)


def child_of(parent: int) -> int:
    """The process id of rank 1."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == parent and "train.py" in command:
            return int(folder.name)
    raise AssertionError("rank 1 is not there")


@pytest.mark.slow
@pytest.mark.fault("a rank dies")
@pytest.mark.parametrize("which", [0, 1])
def test_a_dead_rank_ends_the_other_within_a_bounded_time(
    which: int, undisturbed, tmp_path: Path
) -> None:
    expected, _ = undisturbed("gan", *TWO)
    process = start(arguments("gan", *TWO), tmp_path)
    wait_for(tmp_path / "run", 100, process)
    child = child_of(process.pid)
    os.kill([process.pid, child][which], signal.SIGKILL)
    died = time.monotonic()
    process.communicate(timeout=60)
    while Path(f"/proc/{child}").exists() and time.monotonic() - died < 60:
        time.sleep(0.1)
    assert time.monotonic() - died < 30
    assert process.returncode != 0
    goes_on_to(expected, "gan", tmp_path, *TWO)


@pytest.mark.slow
@pytest.mark.fault("torchrun restarts a killed rank")
def test_torchrun_restarts_after_a_killed_rank(undisturbed, tmp_path: Path) -> None:
    expected, _ = undisturbed("gan", *TWO)
    port = free_port()
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--max-restarts=2",
    ]
    launcher += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    process = start(arguments("gan", *TWO), tmp_path, launcher, GLOO_SOCKET_IFNAME="lo")
    wait_for(tmp_path / "run", 300, process)
    os.kill(child_of(process.pid), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-2000:]
    assert weights_hash(tmp_path / "run") == expected


@pytest.mark.slow
@pytest.mark.fault("one process, two, and one again")
def test_from_one_process_to_two_and_back(undisturbed, tmp_path: Path) -> None:
    """The order of samples and the noise are the same; sums over two halves round differently."""
    import torch

    undisturbed("gan")
    small = ("callbacks.checkpoints.every_images=3200", "optim=sgd")
    for steps, trainer in ((100, "cpu"), (200, "ddp_cpu"), (300, "cpu")):
        done = finish(
            arguments("gan", f"trainer={trainer}", f"trainer.max_steps={steps}", *small), tmp_path
        )
        assert done.returncode == 0, done.stderr
    alone = tmp_path / "alone"
    alone.mkdir()
    assert finish(arguments("gan", "trainer.max_steps=300", *small), alone).returncode == 0
    states = [
        read_checkpoint(path / "run" / "checkpoints" / "last.ckpt") for path in (tmp_path, alone)
    ]
    assert (
        states[0]["gan_zoo"]["clock"]["images_seen"]
        == states[1]["gan_zoo"]["clock"]["images_seen"]
        == 300 * 32
    )
    for name, tensor in states[0]["state_dict"].items():
        torch.testing.assert_close(tensor, states[1]["state_dict"][name], atol=1e-5, rtol=1e-4)


# ---------------------------------------------------------------- what else goes wrong


@pytest.mark.slow
@pytest.mark.fault("the disk is full")
def test_a_full_disk_stops_the_run_and_spoils_nothing(undisturbed, tmp_path: Path) -> None:
    expected, _ = undisturbed("dcgan")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        place = f"hydra.run.dir={disk}/run"
        filler = start(arguments("dcgan", place), tmp_path)
        wait_for(disk / "run", 30, filler)
        with (disk / "rubbish").open("wb", buffering=0) as rubbish, suppress(OSError):
            while True:
                rubbish.write(bytes(4096))
        _, err = filler.communicate(timeout=60)
        assert filler.returncode == 1
        assert "error: no space left for" in err, err
        assert "what was saved before is whole, to go on: resume=" in err
        (disk / "rubbish").unlink()
        done = finish(arguments("dcgan", place), tmp_path)
        assert done.returncode == 0, done.stderr
        assert weights_hash(disk / "run") == expected
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(64):
        Image.new("RGB", (20, 20), (number * 4, 0, 0)).save(folder / f"{number}.png")
    return folder


FOLDER = (
    "data=image_folder",
    "data.image_size=8",
    "metric=none",
    "generator.width=8",
    "discriminator.width=8",
)
FOLDER += (
    "data.batch_size=8",
    "trainer=cpu",
    "trainer.max_steps=400",
    "callbacks.progress=null",
    "hydra.run.dir=run",
)
FOLDER += ("callbacks.checkpoints.every_images=160", "callbacks.samples.count=4", "resume=auto")


@pytest.mark.slow
@pytest.mark.fault("the data folder vanishes")
def test_a_data_folder_that_vanishes_is_not_needed_any_more(images: Path, tmp_path: Path) -> None:
    process = start(
        [*FOLDER, f"data.root={images}"], tmp_path, GAN_ZOO_CACHE=str(tmp_path / "cache")
    )
    wait_for(tmp_path / "run", 20, process)
    shutil.rmtree(images)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    again = finish(
        [*FOLDER, f"data.root={images}"], tmp_path, GAN_ZOO_CACHE=str(tmp_path / "cache")
    )
    assert again.returncode == 1
    assert "error: data.root must be a folder of images" in again.stderr


@pytest.mark.slow
@pytest.mark.fault("a worker dies")
def test_a_dead_worker_stops_the_run_which_then_goes_on(images: Path, tmp_path: Path) -> None:
    streaming = [*FOLDER, f"data.root={images}", "data.memory_limit=0", "data.num_workers=1"]
    cache = {"GAN_ZOO_CACHE": str(tmp_path / "cache")}
    process = start(streaming, tmp_path, **cache)
    wait_for(tmp_path / "run", 40, process)
    os.kill(child_of(process.pid), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: a worker process of data.num_workers failed" in err
    assert "a worker process" in (tmp_path / "run" / "FAILED.txt").read_text()
    assert finish(streaming, tmp_path, **cache).returncode == 0
    here = tmp_path / "here"
    here.mkdir()
    assert finish([*FOLDER, f"data.root={images}"], here, **cache).returncode == 0
    assert weights_hash(tmp_path / "run") == weights_hash(here / "run")
    assert not (tmp_path / "run" / "FAILED.txt").exists()


@pytest.mark.slow
@pytest.mark.fault("damaged checkpoints")
def test_a_flipped_bit_costs_one_checkpoint_and_two_stop_the_run(
    undisturbed, tmp_path: Path
) -> None:
    expected, _ = undisturbed("dcgan")
    killed_after(60, tmp_path)
    store = RunFolder(tmp_path / "run").checkpoints
    older, newest = (store.folder / entry.file for entry in store.entries()[-2:])
    flip(newest)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "run", copy / "run")
    flip(RunFolder(copy / "run").checkpoints.folder / older.name)
    hopeless = finish(arguments("dcgan"), copy)
    assert hopeless.returncode == 1
    assert "error: none of the checkpoints in" in hopeless.stderr
    done = finish(arguments("dcgan"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{newest.name} is damaged" in done.stderr
    assert f"going on from {older}" in done.stdout.replace("\n", "") or older.name in done.stdout
    assert weights_hash(tmp_path / "run") == expected


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
