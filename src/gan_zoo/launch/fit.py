"""Training without a config: parts made in Python, and Lightning's trainer set up as our module
needs it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger

from gan_zoo.callbacks.interruption import Interruption
from gan_zoo.callbacks.progress import Progressing
from gan_zoo.core.errors import ConfigError, Interrupted
from gan_zoo.core.precision import check_precision
from gan_zoo.core.signals import SIGNALS
from gan_zoo.core.warning_filters import quiet
from gan_zoo.data.datamodule import DataModule
from gan_zoo.training.module import GANModule
from gan_zoo.training.trainer import (
    FIXED_TRAINER_ARGS,
    check_compatible,
    make_trainer,
    resolved_precision,
)


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

    Ctrl-C, or a notebook's stop button, finishes the step and raises `KeyboardInterrupt`; the
    module keeps what it has learned. Nothing is written but what callbacks and loggers write.

    Args:
        module: what is trained.
        data: what it is trained on.
        steps: batches, that is discriminator steps.
        callbacks: further ones, such as `gan_zoo.SampleGrid`.
        logger: where losses go, such as `gan_zoo.History`.
        progress: show a bar, or on a dumb terminal a line every tenth of the way.
        devices: how many processes, each with a device of its own.
        log_every_n_steps: steps between two entries of the logger.
        options: further arguments of `lightning.pytorch.Trainer`, such as ``accelerator`` and
            ``precision``.

    Raises:
        ConfigError: if ``steps`` or an option is not allowed.
        DataError: if the data lack what the model needs.
    """
    _check_options(steps, options)
    quiet()
    data.require(module.model.needs, module.model.allows_unlabeled)

    # Our callbacks come first, the caller's options last.
    options |= {"devices": devices, "max_steps": steps, "log_every_n_steps": log_every_n_steps}
    options["precision"] = resolved_precision(options.get("precision", "32-true"))
    own = [Interruption(), *([Progressing()] if progress else [])]
    trainer = make_trainer(
        Trainer, [*own, *callbacks], logger or False, **FIXED_TRAINER_ARGS, **options
    )

    # Train; afterwards the caller's signal handlers are back.
    check_compatible(trainer, module, data)
    with SIGNALS.handlers_restored():
        _run_fit(trainer, module, data)
    return module


def _check_options(steps: Any, options: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for options of the trainer that are not allowed."""
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps must be an integer >= 1, got {steps!r}")
    for name in (*FIXED_TRAINER_ARGS, "max_steps"):
        if name in options:
            raise ConfigError(f"{name} is settled by gan_zoo.fit, got {name}={options[name]!r}")
    check_precision(options.get("precision", "32-true"))


def _run_fit(trainer: Trainer, module: GANModule, data: DataModule) -> None:
    try:
        trainer.fit(module, datamodule=data)
    except Interrupted as stop:
        if stop.signum == signal.SIGINT:
            raise KeyboardInterrupt(f"stopped at step {module.global_step:,}") from None
        sys.exit(stop.exit_code)
