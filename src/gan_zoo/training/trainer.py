"""Lightning's trainer, set up as our module needs it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import atomic_path
from gan_zoo.data.datamodule import DataModule
from gan_zoo.data.dataset import Source
from gan_zoo.training.module import GANModule
from gan_zoo.training.strategy import FlatDDPStrategy

FIXED_TRAINER_ARGS: dict[str, Any] = {
    "use_distributed_sampler": False,
    "limit_val_batches": 0,
    "enable_model_summary": False,
}
"""Arguments of the trainer that follow from how the module trains, as in
``conf/trainer/auto.yaml``.
"""


@runtime_checkable
class ChecksBefore(Protocol):
    """A callback that can check before training that it will work."""

    def check(self, module: GANModule, source: Source) -> None:
        """Raise `DataError` if it will."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes in the target's own folder, synced, then renamed: a file is whole or the old one is
    still there.

    Reads tensors and plain data only (``weights_only=True``), so that a foreign checkpoint cannot
    run code.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # A full disk, behind what torch makes of it.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(
            path, map_location=map_location or "cpu", weights_only=True
        )
        return checkpoint


def make_trainer(
    make: Callable[..., Trainer], callbacks: Sequence[Callback], logger: Any, **settings: Any
) -> Trainer:
    """A trainer from ``make`` with these callbacks and loggers, and none that Lightning would add
    of its own.

    Under torchrun it has as many processes as torchrun started. More than one process always train
    by our strategy.

    Raises:
        ConfigError: if another strategy was asked for.
    """
    # Progress bar and checkpoints are on only where a callback asks for them.
    settings |= {
        "logger": logger,
        "callbacks": list(callbacks),
        "plugins": [AtomicCheckpointIO()],
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
    }
    settings |= processes_of_torchrun()

    # The number of processes is known once a trainer is made: several need our strategy.
    trainer = make(**settings)
    if trainer.world_size == 1 or isinstance(trainer.strategy, FlatDDPStrategy):
        return trainer
    if type(trainer.strategy) is not DDPStrategy:  # what Lightning chooses for strategy=auto
        raise ConfigError(
            "trainer.strategy must be auto or gan_zoo.training.strategy.FlatDDPStrategy for "
            f"{trainer.world_size} processes, got {type(trainer.strategy).__name__}"
        )
    return make(strategy=FlatDDPStrategy(), **settings)


def steps_of_epochs(epochs: int | None, data: DataModule, max_steps: int) -> int:
    """The batches in which ``epochs`` passes over the data are done; ``max_steps`` if no number of
    passes is given.
    """
    if epochs is None:
        return max_steps
    return math.ceil(epochs * len(data.source) / data.batch_size)


def processes_of_torchrun() -> dict[str, int]:
    """``devices`` and ``num_nodes`` as torchrun started them; nothing if it did not."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return {}
    # Torchrun gives every machine as many processes.
    on_this_machine = int(os.environ["LOCAL_WORLD_SIZE"])
    return {
        "devices": on_this_machine,
        "num_nodes": int(os.environ["WORLD_SIZE"]) // on_this_machine,
    }


def resolved_precision(precision: Any) -> Any:
    """``precision``, with ``auto`` as the GPU has it, which is printed: cards before Ampere have no
    bfloat16.
    """
    if precision != "auto":
        return precision
    if not torch.cuda.is_available():
        return "32-true"
    chosen = "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    print(f"precision: {chosen}, on {torch.cuda.get_device_name()}", file=sys.stderr)
    return chosen


def check_compatible(trainer: Trainer, module: GANModule, data: DataModule) -> None:
    """Raise `ValueError` where the parts do not fit together."""
    module.check(trainer)
    data.check(trainer.world_size)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ChecksBefore):
            callback.check(module, data.source)
