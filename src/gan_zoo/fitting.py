"""Training without a config: parts made in Python, and Lightning's trainer set up as our module needs it."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy

from gan_zoo.callbacks.checkpoints import AtomicCheckpointIO
from gan_zoo.callbacks.evaluation import Evaluation
from gan_zoo.callbacks.interruption import Interruption
from gan_zoo.callbacks.progress import Progressing
from gan_zoo.checks import check_precision
from gan_zoo.data.datamodule import DataModule
from gan_zoo.errors import CompositionError
from gan_zoo.module import GANModule
from gan_zoo.quiet import quiet
from gan_zoo.signals import SIGNALS, Interrupted
from gan_zoo.strategies import FlatDDPStrategy

SETTLED: dict[str, Any] = {
    "use_distributed_sampler": False,
    "limit_val_batches": 0,
    "enable_model_summary": False,
}
"""Arguments of the trainer that follow from how the module trains, as in ``conf/trainer/auto.yaml``."""


def fit(
    module: GANModule,
    data: DataModule,
    steps: int,
    *,
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
    progress: bool = True,
    devices: int = 1,
    log_every_n_steps: int = 50,
    **options: Any,
) -> GANModule:
    """Train ``module`` on ``data`` and return it; it is trained in place.

    Ctrl-C, or a notebook's stop button, finishes the step and raises `KeyboardInterrupt`; the module keeps what it
    has learned. Nothing is written but what callbacks and loggers write.

    Args:
        module: what is trained.
        data: what it is trained on.
        steps: batches, that is critic steps.
        callbacks: further ones, such as `gan_zoo.SampleGrid`.
        logger: where losses go, such as `gan_zoo.History`.
        progress: show a bar, or on a dumb terminal a line every tenth of the way.
        devices: how many processes, each with a device of its own.
        log_every_n_steps: steps between two entries of the logger.
        options: further arguments of `lightning.pytorch.Trainer`, such as ``accelerator`` and ``precision``.

    Raises:
        CompositionError: if ``steps`` or an option is not allowed.
        DataError: if the data lack what the game needs.
    """
    if not isinstance(steps, int) or steps < 1:
        raise CompositionError(f"steps must be a whole number >= 1, got {steps!r}")
    if settled := sorted({*SETTLED, "max_steps"} & options.keys()):
        raise CompositionError(f"{settled[0]} is settled by gan_zoo.fit, got {settled[0]}={options[settled[0]]!r}")
    check_precision(options.get("precision", "32-true"))
    if "precision" in options:
        options["precision"] = resolved_precision(options["precision"])
    quiet()
    data.serve(module.game.needs)
    settings = SETTLED | {"devices": devices, "max_steps": steps, "log_every_n_steps": log_every_n_steps} | options
    own = [Interruption(), *([Progressing()] if progress else [])]
    trainer = equipped(Trainer, [*own, *callbacks], logger or False, **settings)
    check_together(trainer, module, data)
    with SIGNALS.restored():
        _trained(trainer, module, data)
    return module


def _trained(trainer: Trainer, module: GANModule, data: DataModule) -> None:
    try:
        trainer.fit(module, datamodule=data)
    except Interrupted as stop:
        if stop.signum == signal.SIGINT:
            raise KeyboardInterrupt(f"stopped at step {module.global_step:,}") from None
        sys.exit(stop.exit_code)


def equipped(make: Callable[..., Trainer], callbacks: Sequence[Callback], logger: Any, **settings: Any) -> Trainer:
    """A trainer from ``make`` with these callbacks and loggers, and none that Lightning would add of its own.

    Under torchrun it has as many processes as torchrun started. More than one process always train by our strategy.

    Raises:
        CompositionError: if another strategy was asked for.
    """
    settings |= {
        "logger": logger,
        "callbacks": list(callbacks),
        "plugins": [AtomicCheckpointIO()],
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
    }
    settings |= processes_of_torchrun()
    trainer = make(**settings)
    if trainer.world_size == 1 or isinstance(trainer.strategy, FlatDDPStrategy):
        return trainer
    if type(trainer.strategy) is not DDPStrategy:  # what Lightning chooses for strategy=auto
        raise CompositionError(
            f"trainer.strategy must be auto or gan_zoo.strategies.FlatDDPStrategy for {trainer.world_size} processes, "
            f"got {type(trainer.strategy).__name__}"
        )
    return make(strategy=FlatDDPStrategy(), **settings)


def steps_of_epochs(epochs: int | None, data: DataModule, max_steps: int) -> int:
    """The batches in which ``epochs`` passes over the data are done; ``max_steps`` if no number of passes is given."""
    if epochs is None:
        return max_steps
    return math.ceil(epochs * len(data.source) / data.batch_size)


def processes_of_torchrun() -> dict[str, int]:
    """``devices`` and ``num_nodes`` as torchrun started them; nothing if it did not."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return {}
    on_this_machine = int(os.environ["LOCAL_WORLD_SIZE"])
    return {"devices": on_this_machine, "num_nodes": int(os.environ["WORLD_SIZE"]) // on_this_machine}


def resolved_precision(precision: Any) -> Any:
    """``precision``, with ``auto`` as the GPU has it, which is printed: cards before Ampere have no bfloat16."""
    if precision != "auto":
        return precision
    if not torch.cuda.is_available():
        return "32-true"
    chosen = "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    print(f"precision: {chosen}, on {torch.cuda.get_device_name()}", file=sys.stderr)
    return chosen


def check_together(trainer: Trainer, module: GANModule, data: DataModule) -> None:
    """Raise `ValueError` where the parts do not fit together."""
    module.check(trainer)
    data.check(trainer.world_size)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Evaluation):
            callback.check(module, data.source)
