"""A multirun on this machine: one process a job, and only for the jobs that have not been done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import open_dict

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.launch.processes import Job, JobManifest, run_all


def launch(context: Any, config: Any, job_overrides: Sequence[Sequence[str]], num_jobs: int) -> list[JobReturn]:
    """Run the jobs of a multirun.

    The same command over the same ``hydra.sweep.dir`` does what is missing: jobs that ended well are left alone, others
    go on from their last checkpoint.

    Args:
        context: Hydra's.
        config: of the sweep.
        job_overrides: of each job.
        num_jobs: side by side.

    Raises:
        ConfigError: naming the jobs that failed, once all are done.
    """
    folder = Path(config.hydra.sweep.dir)
    record = JobManifest(folder)
    jobs = []
    for overrides in job_overrides:
        job = record.of(overrides) or record.add(overrides, subfolder(context, config, overrides, len(record.jobs)))
        jobs.append(job)
    waiting = [job for job in jobs if job.exit_code != 0]
    for job in waiting:
        job.exit_code = None
    record.write()
    if len(waiting) < len(jobs):
        print(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs in {folder} are done")

    def begin() -> Iterator[Job]:
        for job in waiting:
            print(f"job {job.folder.name}: {' '.join(job.overrides)}", flush=True)
            yield job

    def ended(job: Job) -> None:
        record.write()
        if job.failure or num_jobs > 1:
            print(f"job {job.folder.name}: {job.failure or f'done in {job.seconds:,.0f} s'}", flush=True)

    run_all(begin(), num_jobs, ended, options(config))
    failed = [job for job in jobs if job.exit_code != 0]
    if failed:
        listed = "; ".join(f"{job.folder.name}: {job.failure}" for job in failed)
        again = f"the same command with hydra.sweep.dir={folder} does what is missing"
        raise ConfigError(f"{len(failed)} of {len(jobs)} jobs failed: {listed}; {again}")
    return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED, _return_value=None) for job in jobs]


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
    given = [source for source in config.hydra.runtime.config_sources if source.provider == "command-line"]
    return [part for source in given for part in ("--config-dir", source.path) if source.path != str(CONF)]
