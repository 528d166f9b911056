"""Jobs of a sweep, each in a process of its own: one that dies or is killed takes nothing along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gan_zoo.core.errors import ConfigError, Interrupted
from gan_zoo.core.files import atomic_path
from gan_zoo.core.signals import SIGNALS
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import quote_value

POLL_SECONDS = 0.2
FULL_ERROR_VAR = "GAN_ZOO_FULL_ERROR"  # what HYDRA_FULL_ERROR was before Hydra was made to raise


@dataclass
class Job:
    """One run of a sweep.

    Attributes:
        overrides: what it is composed of.
        folder: where it goes; a run that is there already goes on.
        exit_code: as `subprocess.Popen.returncode`; None before it has ended.
        seconds: that its process took.
    """

    overrides: list[str]
    folder: Path
    exit_code: int | None = None
    seconds: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    slot: int = 0
    start_time: float = 0.0

    @property
    def log(self) -> Path:
        """What it prints, where jobs run side by side."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def command(self, options: Sequence[str] = ()) -> list[str]:
        """What starts it, or resumes whatever its folder holds."""
        place = [f"hydra.run.dir={quote_value(self.folder.absolute())}", "resume=auto"]
        return [sys.executable, "-m", "gan_zoo.launch.main", *options, *self.overrides, *place]

    def labels(self) -> dict[str, str]:
        """The variables that put it into its group of runs."""
        return {
            "HYDRA_FULL_ERROR": os.environ.get(FULL_ERROR_VAR, "0"),
            "WANDB_RUN_GROUP": self.folder.absolute().parent.name,
            "WANDB_JOB_TYPE": "job",
        }

    def start(self, slot: int, num_jobs: int, options: Sequence[str] = ()) -> None:
        """Start or resume it, as number ``slot`` of ``num_jobs`` at a time."""
        command = self.command(options)
        environment = job_environment(slot, num_jobs) | self.labels()
        self.slot = slot
        self.start_time = time.monotonic()
        self.folder.parent.mkdir(parents=True, exist_ok=True)

        # A single job prints to the terminal, several ones into their logs.
        if num_jobs == 1:
            self.process = subprocess.Popen(command, env=environment, start_new_session=True)
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                start_new_session=True,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def poll(self) -> bool:
        """Whether its process is over."""
        assert self.process is not None
        self.exit_code = self.process.poll()
        self.seconds = time.monotonic() - self.start_time
        return self.exit_code is not None

    def stop(self) -> None:
        """Ask it to save and leave."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    @property
    def failure(self) -> str:
        """Why it failed, in one line; empty if it did not."""
        if self.exit_code in (None, 0):
            return ""
        # Popen reports the signal that ended a process as a negative number.
        if self.exit_code < 0:
            return f"killed by {signal.Signals(-self.exit_code).name}"

        # What the run recorded, else the last line that it printed.
        if recorded := RunFolder(self.folder).failure:
            return recorded.splitlines()[0]
        printed = self.log.read_text(errors="replace").strip() if self.log.is_file() else ""
        return (
            printed.splitlines()[-1].removeprefix("error: ")
            if printed
            else f"exit code {self.exit_code}"
        )


def job_environment(slot: int, num_jobs: int) -> dict[str, str]:
    """The environment of a job: where several run side by side each has its share of the cores, and
    a GPU by turns.
    """
    environment = dict(os.environ)
    if num_jobs > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_jobs)))
        gpus = visible_gpus()
        if len(gpus) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    return environment


def visible_gpus() -> list[str]:
    """The names of this machine's GPUs as ``CUDA_VISIBLE_DEVICES`` takes them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def run_all(
    jobs: Iterable[Job],
    num_jobs: int,
    on_end: Callable[[Job], None],
    options: Sequence[str] = (),
    on_poll: Callable[[Job], None] = lambda job: None,
) -> None:
    """Run ``jobs``, at most ``num_jobs`` at a time; the next one is taken when there is room.

    Args:
        jobs: what to run.
        num_jobs: how many at a time, >= 1.
        on_end: called with each job whose process is over.
        options: flags for Hydra that every job gets.
        on_poll: called with each running job now and then; may `Job.stop` it.

    Raises:
        Interrupted: on SIGTERM or SIGINT, once all running jobs have saved and left.
    """
    if num_jobs < 1:
        raise ConfigError(f"the number of jobs at a time must be >= 1, got {num_jobs}")

    # Jobs and signals are polled.
    pool = Pool(jobs, num_jobs, options)
    with SIGNALS.handlers_restored(), pool.stopped_on_failure():
        SIGNALS.install()
        while pool.fill() or pool.running:
            time.sleep(POLL_SECONDS)
            if SIGNALS.pending is not None:
                raise Interrupted(SIGNALS.pending)
            for job in list(pool.running):
                if job.poll():
                    pool.running.remove(job)
                    on_end(job)
                else:
                    on_poll(job)


class Pool:
    """Jobs that run at the same time, and those that wait.

    Args:
        jobs: what to run, taken one by one.
        num_jobs: how many at a time.
        options: flags for Hydra that every job gets.
    """

    def __init__(self, jobs: Iterable[Job], num_jobs: int, options: Sequence[str]) -> None:
        self.pending = iter(jobs)
        self.num_jobs = num_jobs
        self.options = options
        self.running: list[Job] = []
        self.has_more = True

    def fill(self) -> bool:
        """Start jobs while there is room; whether there may be more."""
        while self.has_more and len(self.running) < self.num_jobs and SIGNALS.pending is None:
            job = next(self.pending, None)
            if job is None:
                self.has_more = False
                break
            # The lowest free slot, which decides about the GPU.
            taken = {other.slot for other in self.running}
            job.start(min(set(range(self.num_jobs)) - taken), self.num_jobs, self.options)
            self.running.append(job)
        return self.has_more

    @contextmanager
    def stopped_on_failure(self) -> Iterator[None]:
        """If the block ends early, all running jobs are asked to save, and waited for."""
        try:
            yield
        except BaseException:
            # All of them are asked before the first is waited for.
            for job in self.running:
                job.stop()
            for job in self.running:
                assert job.process is not None
                job.process.wait()
            raise


class JobManifest:
    """``jobs.json`` of a sweep's folder: which jobs there are, in which folders, and how they
    ended.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.json"
        self.jobs: list[Job] = []
        if self.path.is_file():
            try:
                entries = json.loads(self.path.read_text())
                self.jobs = [Job(folder=folder / entry.pop("folder"), **entry) for entry in entries]
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ConfigError(f"{self.path} is damaged: {error}") from error

    def find(self, overrides: Sequence[str]) -> Job | None:
        """The job of these overrides, if it is recorded."""
        return next((job for job in self.jobs if job.overrides == list(overrides)), None)

    def add(self, overrides: Sequence[str], name: str) -> Job:
        """A new job in the folder ``name``."""
        self.jobs.append(Job(list(overrides), self.path.parent / name))
        return self.jobs[-1]

    def _place(self, job: Job) -> str:
        """Where a job goes: below the sweep's folder, which may be moved, or elsewhere."""
        sweep = self.path.parent
        is_below = job.folder.is_relative_to(sweep)
        return (job.folder.relative_to(sweep) if is_below else job.folder).as_posix()

    def write(self) -> None:
        """Write the file."""
        kept = ("overrides", "exit_code", "seconds")
        entries = [
            {"folder": self._place(job)}
            | {key: value for key, value in vars(job).items() if key in kept}
            for job in self.jobs
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(entries, indent=2) + "\n")
