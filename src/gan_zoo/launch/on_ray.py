"""Jobs of a sweep on a Ray cluster: a task each, which runs the job in a process of its own."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gan_zoo.core.errors import ConfigError, Interrupted
from gan_zoo.core.signals import SIGNALS
from gan_zoo.launch.processes import POLL_SECONDS, Job

PASSED_ON = ("GAN_ZOO_", "HYDRA_", "WANDB_", "MLFLOW_", "HF_", "PYTHONPATH")
"""Beginnings of the names of variables that jobs get; all others are those of their node."""
CONNECT_SECONDS = 10.0
"""A cluster must answer within these."""
WAIT_SECONDS = 1.0
"""Ray's way to cancel a task is an exception, which a longer wait would keep from being raised."""
PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that a process gets when its parent dies."""


def run_on_ray(
    jobs: Iterable[Job],
    on_end: Callable[[Job], None],
    options: Sequence[str],
    address: str | None = None,
    needs: Mapping[str, Any] | None = None,
) -> None:
    """Run ``jobs`` as tasks, as many at a time as there is room for.

    All nodes need this environment, and the folder of the sweep at the same path.

    Args:
        jobs: what to run.
        on_end: called with each job that is over.
        options: flags for Hydra that every job gets.
        address: of the cluster, see `ray.init`; None starts one on this machine.
        needs: ``num_cpus``, ``num_gpus`` and ``resources`` of a job.

    Raises:
        ConfigError: if there is no cluster at ``address``, or no node has what a job needs.
        Interrupted: on SIGTERM or SIGINT, once all running jobs have saved and left.
    """
    import ray

    _connect(address)
    try:
        # Ray has put handlers of its own in the place of ours.
        with SIGNALS.handlers_restored(), SIGNALS.raise_after_step():
            SIGNALS.install()
            nodes: Any = ray.nodes()  # type: ignore[no-untyped-call]
            _check_room(nodes, needs or {})
            task = ray.remote(max_retries=0, **(needs or {}))(execute)
            here = str(Path.cwd())
            started = {}
            for job in jobs:
                log = str(job.log.absolute())
                reference = task.remote(job.command(options), _environment(job), here, log)
                started[reference] = job
            _wait(started, on_end)
    finally:
        ray.shutdown()


def _connect(address: str | None) -> None:
    """Connect to a cluster, or start one; raises `ConfigError` if there is none at ``address``."""
    import ray

    try:
        _check_answers(address)
        # Without an address Ray would look for a cluster by itself.
        ray.init(
            address or "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"hydra.launcher.address must be that of a Ray cluster, got {address!r}: {reason}"
        ) from error


def _check_answers(address: str | None) -> None:
    """Raise `OSError` if nothing listens at an address ``HOST:PORT``, which Ray would wait for."""
    place = urlsplit(f"//{(address or '').removeprefix('ray://')}")
    if place.hostname is not None and place.port is not None:
        socket.create_connection((place.hostname, place.port), CONNECT_SECONDS).close()


def _wait(started: dict[Any, Job], on_end: Callable[[Job], None]) -> None:
    """Wait for all tasks; on a signal for the running ones to save."""
    import ray

    asked = False
    while started:
        # All jobs are asked before the first is waited for.
        if SIGNALS.pending is not None and not asked:
            asked = True
            for reference in started:
                ray.cancel(reference)
        ended, _ = ray.wait(list(started), timeout=POLL_SECONDS)
        for reference in ended:
            job = started.pop(reference)
            _take_result(job, reference)
            if not asked or job.exit_code == 0:
                on_end(job)
    if SIGNALS.pending is not None:
        raise Interrupted(SIGNALS.pending)


def _take_result(job: Job, reference: Any) -> None:
    """Keep how a job ended; what happened to its node goes into its log."""
    import ray

    try:
        job.exit_code, job.seconds = ray.get(reference)
    except ray.exceptions.RayError as error:
        job.exit_code = 1
        reason = " ".join(str(error).split())
        job.log.parent.mkdir(parents=True, exist_ok=True)  # it may never have started
        with job.log.open("a") as log:
            log.write(f"\nRay: {type(error).__name__} {reason}\n")


def _check_room(nodes: Sequence[Mapping[str, Any]], needs: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where no node has what a job needs: Ray would wait for one for ever."""
    # A job is placed on a single node, so one of them must have all of it.
    wanted = {"CPU": needs.get("num_cpus", 1), "GPU": needs.get("num_gpus", 0)}
    wanted |= needs.get("resources", {})
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if any(all(node.get(name, 0) >= n for name, n in wanted.items()) for node in alive):
        return

    # None has: say what was asked for and what there is.
    asked = ", ".join(f"{name} {number:g}" for name, number in wanted.items() if number)
    there = "; ".join(
        ", ".join(f"{name} {node.get(name, 0):g}" for name in wanted) for node in alive
    )
    raise ConfigError(
        "hydra.launcher.num_cpus, num_gpus and resources must fit on one node of the cluster:"
        f" a job takes {asked}, the nodes have {there}"
    )


def _environment(job: Job) -> dict[str, str]:
    """The variables that a job gets in addition to those of its node."""
    mine = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    return mine | job.labels()


def execute(
    command: Sequence[str], environment: Mapping[str, str], folder: str, log: str
) -> tuple[int, float]:
    """Run a command on this node; returns its exit code and its seconds.

    If Ray cancels the task, or the process that runs it dies, the command is asked to save first.
    """
    begun = time.monotonic()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=folder,
            start_new_session=True,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            preexec_fn=_stop_with_parent(),
        )

        # However the wait ends, the command is asked to save, and does not outlive it.
        try:
            _wait_for(process)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return process.returncode, time.monotonic() - begun


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process, and raise what other threads ask this one to raise."""
    while process.returncode is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(WAIT_SECONDS)


def _stop_with_parent() -> Callable[[], None] | None:
    """What a new process calls to get SIGTERM when this one dies, however it does; Linux only.

    Ray kills workers without a word, and their jobs are in sessions of their own.
    """
    if sys.platform != "linux":
        return None
    # Looked up here, as between fork and exec little may be done.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        # The parent may have died before.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return ask
