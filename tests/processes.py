"""Commands in processes of their own, forked from one that has imported everything before.

A new interpreter spends about ten seconds on importing torch, torchmetrics and Lightning; a fork
of one that has done so starts at once. Everything else is as on the command line: the arguments,
the working directory, the environment, standard output and error, the exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
import torch.multiprocessing as mp

ROOT = Path(__file__).parents[1]
PRELOADED = ("gan_zoo.launch.main", "gan_zoo.launch.initialize", "gan_zoo.cli.app")


def train(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ``python train.py ARGUMENTS`` does in this folder."""
    return _run("train.py", arguments, cwd, {"PYTHONPATH": str(ROOT)} | environment)


def gan_zoo(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ``gan-zoo ARGUMENTS`` does in this folder."""
    return _run("gan_zoo.cli.app", arguments, cwd, environment)


def module(
    name: str, *arguments: str, cwd: Path, timeout: float = 240, **environment: str
) -> subprocess.CompletedProcess[str]:
    """What ``python -m NAME ARGUMENTS`` does in this folder."""
    return _run(name, arguments, cwd, environment, timeout)


def free_port() -> int:
    """A port of 127.0.0.1 where nothing listens.

    Not one of those that the system gives to connections, which could take it before it is used.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def on_ranks(work: Callable[..., None], count: int, *arguments: object) -> None:
    """Call ``work(rank, *arguments)`` in ``count`` processes and wait for all."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOADED))
    mp.start_processes(_on_rank, args=(work, arguments), nprocs=count, start_method="forkserver")


def _on_rank(rank: int, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    work(rank, *arguments)


def _run(
    program: str,
    arguments: tuple[str, ...],
    cwd: Path,
    environment: dict[str, str],
    timeout: float = 240,
) -> subprocess.CompletedProcess[str]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    settings = {"OMP_NUM_THREADS": "1"} | os.environ | environment
    with tempfile.TemporaryDirectory() as folder:
        streams = (Path(folder) / "stdout", Path(folder) / "stderr")
        process = context.Process(target=_become, args=(program, arguments, cwd, settings, streams))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([program, *arguments], timeout)
        texts = [file.read_text(encoding="utf-8") for file in streams]
    return subprocess.CompletedProcess(arguments, process.exitcode, *texts)


def _become(
    program: str,
    arguments: tuple[str, ...],
    cwd: Path,
    settings: dict[str, str],
    streams: tuple[Path, Path],
) -> None:
    # The place of a command.
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(settings)
    torch.set_num_threads(
        int(settings["OMP_NUM_THREADS"] or 1)
    )  # torch has read the variable already
    sys.path[0:0] = [str(cwd), *settings.get("PYTHONPATH", "").split(os.pathsep)]

    # Its streams.
    for number, file in enumerate(streams, start=1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115

    # The command itself.
    if program.endswith(".py"):
        sys.argv = [str(ROOT / program), *arguments]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        sys.argv = [program, *arguments]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
