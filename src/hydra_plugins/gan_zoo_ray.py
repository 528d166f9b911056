"""Where Hydra looks for launchers; what this one does is in `gan_zoo.launch.on_ray`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """Runs every job of a multirun in a process of its own, wherever Ray has room for it.

    Args:
        address: of a cluster, ``auto`` for that of this machine; None: Ray is started for this
            multirun.
        num_cpus, num_gpus, resources: that a job takes.
    """

    def __init__(
        self,
        address: str | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self.address = address
        self.needs: dict[str, Any] = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self.needs["resources"] = dict(resources or {})
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
        from gan_zoo.launch.on_ray import run_on_ray

        def run(jobs: Any, on_end: Any, options: Any) -> None:
            run_on_ray(jobs, on_end, options, self.address, self.needs)

        return launch(self.context, self.config, job_overrides, run)
