"""Leaving together, and only where the run can go on."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from gan_zoo.distributed import HostGroup
from gan_zoo.signals import SIGNALS, Interrupted
from gan_zoo.types import Batch


class Interruption(Callback):
    """On SIGTERM or SIGINT to any process all of them finish the step, save, and leave with 143 or 130.

    What a scheduler needs to start the command again with ``resume=auto``.
    """

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Listen from before the evaluation that a resumed run may begin with."""
        SIGNALS.listen()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._hosts = HostGroup()
        self._hosts.check_equal(f"step {pl_module.global_step}")
        SIGNALS.listen()  # again: Lightning has put its own handler before ours
        # Lightning would broadcast its own flag from rank 0 before every batch, and wait for the device to read it.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if signum := self._hosts.largest(SIGNALS.received or 0):
            raise Interrupted(signum)
