"""A multirun: one process a job, and only for the jobs that have not been done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import open_dict

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.launch.processes import Job, JobManifest

Runner = Callable[[Iterable[Job], Callable[[Job], None], Sequence[str]], None]
"""Runs jobs with flags for Hydra, and calls back with each that has ended."""


def launch(
    context: Any, config: Any, job_overrides: Sequence[Sequence[str]], run: Runner
) -> list[JobReturn]:
    """Run the jobs of a multirun.

    The same command over the same ``hydra.sweep.dir`` does what is missing: jobs that ended well
    are left alone, others go on from their last checkpoint.

    Args:
        context: Hydra's.
        config: of the sweep.
        job_overrides: of each job.
        run: how jobs are run: `gan_zoo.launch.processes.run_all` with a number of jobs at a time,
            or `gan_zoo.launch.on_ray.run_on_ray`.

    Raises:
        ConfigError: naming the jobs that failed, once all are done.
    """
    # Jobs that the manifest knows keep their folders, new ones get one.
    folder = Path(config.hydra.sweep.dir)
    manifest = JobManifest(folder)
    jobs = []
    for overrides in job_overrides:
        job = manifest.find(overrides)
        if job is None:
            name = subfolder(context, config, overrides, len(manifest.jobs))
            job = manifest.add(overrides, name)
        jobs.append(job)

    # Those that have not ended well run, or are resumed.
    pending = [job for job in jobs if job.exit_code != 0]
    for job in pending:
        job.exit_code = None
    manifest.write()
    if len(pending) < len(jobs):
        print(f"{len(jobs) - len(pending)} of {len(jobs)} jobs in {folder} are done")

    # The manifest is written after every job, so that the command can be repeated at any time.
    def on_end(job: Job) -> None:
        manifest.write()
        outcome = job.failure or f"done in {job.seconds:,.0f} s"
        print(f"job {job.folder.name}: {outcome}", flush=True)

    # Run what is pending, and return what Hydra expects of a launcher.
    run(announced(pending), on_end, options(config))
    raise_failures(jobs, folder)
    return [
        JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED, _return_value=None)
        for job in jobs
    ]


def announced(jobs: Sequence[Job]) -> Iterator[Job]:
    """``jobs``, each with a line when it is taken."""
    for job in jobs:
        print(f"job {job.folder.name}: {' '.join(job.overrides)}", flush=True)
        yield job


def raise_failures(jobs: Sequence[Job], folder: Path) -> None:
    """Raise `ConfigError` naming the jobs that failed, if any did."""
    failed = [job for job in jobs if job.exit_code != 0]
    if failed:
        summary = "; ".join(f"{job.folder.name}: {job.failure}" for job in failed)
        hint = f"the same command with hydra.sweep.dir={folder} does what is missing"
        raise ConfigError(f"{len(failed)} of {len(jobs)} jobs failed: {summary}; {hint}")


def subfolder(context: Any, config: Any, overrides: Sequence[str], number: int) -> str:
    """The name of a job's folder, ``hydra.sweep.subdir``."""
    try:
        composed = context.config_loader.load_sweep_config(config, list(overrides))
    except Exception:  # the job itself says what is wrong with its overrides
        return str(number)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    HydraConfig.instance().set_config(composed)
    return str(composed.hydra.sweep.subdir)


def options(config: Any) -> list[str]:
    """The flags that the jobs need as well: further folders of configs."""
    given = [
        source
        for source in config.hydra.runtime.config_sources
        if source.provider == "command-line"
    ]
    return [
        part
        for source in given
        for part in ("--config-dir", source.path)
        if source.path != str(CONF)
    ]
