"""Leaving together, and only where the run can go on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from lightning.pytorch import Callback, Trainer

from gan_zoo.core.distributed import CPUProcessGroup
from gan_zoo.core.errors import ConfigError, Interrupted
from gan_zoo.core.nested import first_difference
from gan_zoo.core.signals import SIGNALS
from gan_zoo.core.types import Batch

AGREE_EVERY = 0.25
"""Seconds after which several processes exchange signals: one exchange costs 0.5 to 3 ms."""
MOST_STEPS = 100


class Interruption(Callback):
    """On SIGTERM, SIGINT or SIGHUP to any process all of them finish the step, save, and leave with
    128 + its number.

    What a scheduler needs to start the command again with ``resume=auto``. The handlers there were
    before are back afterwards.
    """

    def __init__(self) -> None:
        self._handlers = ExitStack()

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Listen from before the evaluation that a resumed run may begin with."""
        if SIGNALS.will_be_restored:
            SIGNALS.install()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._hosts = CPUProcessGroup()
        self._ask_at = 0
        self._asked_at = (pl_module.global_step, time.monotonic())
        check_equal_start(self._hosts, pl_module.global_step, pl_module.metadata.get("config"))

        # Lightning has put its own handlers before ours. In a script they come back at the end.
        if not SIGNALS.will_be_restored:
            self._handlers.enter_context(SIGNALS.handlers_restored())
        SIGNALS.install()

        # Lightning would broadcast its own flag from rank 0 before every batch, and wait for the
        # device to read it.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        step = pl_module.global_step
        if trainer.world_size == 1:
            if SIGNALS.pending:
                raise Interrupted(SIGNALS.pending)
        elif step >= self._ask_at:
            self._ask(step)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._handlers.close()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._handlers.close()

    def _ask(self, step: int) -> None:
        """Leave if any process was signalled; else agree on the step of the next exchange."""
        last_step, last_time = self._asked_at
        now = time.monotonic()
        seconds_per_step = (now - last_time) / max(1, step - last_step)
        # One exchange carries the signal and the speed.
        signum, slowest = self._hosts.max(SIGNALS.pending or 0, seconds_per_step)
        if signum:
            raise Interrupted(int(signum))

        # The numbers are those of all processes, so all of them come to the same step.
        self._asked_at = (step, now)
        self._ask_at = step + min(MOST_STEPS, max(1, int(AGREE_EVERY / max(slowest, 1e-6))))


def check_equal_start(hosts: CPUProcessGroup, step: int, config: Mapping[str, Any] | None) -> None:
    """Raise `ConfigError` unless all processes start from one step and one config.

    Where the run folder and the data lie may differ between machines.
    """
    # Machines without a shared disk may have resumed from different checkpoints.
    steps = hosts.gather(step)
    if len(set(steps)) > 1:
        raise ConfigError(
            "the processes do not start from the same state, but from steps"
            f" {', '.join(map(str, steps))}: every machine needs the same run folder on a shared"
            " disk, or resume=FILE with a copy of one checkpoint"
        )

    # Configs must agree in everything but where files lie.
    first, *others = hosts.gather(
        None if config is None else _without_places(config, str(config["run_dir"]))
    )
    for rank, other in enumerate(others, start=1):
        if difference := first_difference(first, other, ""):
            name, theirs, own = difference
            raise ConfigError(
                f"the processes were started with different configs: {name} is {theirs!r} on"
                f" process 0 and {own!r} on process {rank}"
            )


def _without_places(node: Any, run_dir: str) -> Any:
    """``node`` without where its run folder and its data lie."""
    if isinstance(node, dict):
        return {
            key: _without_places(child, run_dir) for key, child in node.items() if key != "root"
        }
    if isinstance(node, list):
        return [_without_places(child, run_dir) for child in node]

    # Other values may hold the run folder, too.
    return node.replace(run_dir, "") if isinstance(node, str) else node
