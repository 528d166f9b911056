"""Where Hydra looks for launchers; what this one does is in `gan_zoo.launch.multirun`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ProcessLauncher(Launcher):
    """Runs every job of a multirun in a process of its own on this machine.

    Args:
        n_jobs: how many side by side.
    """

    def __init__(self, n_jobs: int = 1) -> None:
        self.n_jobs = n_jobs
        self.config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what `launch` needs."""
        self.context: Any = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs and wait for all of them."""
        from gan_zoo.launch.multirun import launch
        from gan_zoo.launch.processes import run_all

        def run(jobs: Any, on_end: Any, options: Any) -> None:
            run_all(jobs, self.n_jobs, on_end, options)

        return launch(self.context, self.config, job_overrides, run)
