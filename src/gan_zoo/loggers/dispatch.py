"""Loggers that go on where a resumed run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)

from gan_zoo.core.guard import survived


def log(trainer: Trainer, numbers: Mapping[str, float], step: int) -> None:
    """Pass numbers on to the loggers, and to what shows the latest ones."""
    trainer.callback_metrics.update(
        {name: torch.tensor(number) for name, number in numbers.items()}
    )
    for logger in trainer.loggers:
        with survived(f"logging to {type(logger).__name__}"):
            logger.log_metrics(dict(numbers), step=step)


def log_config(trainer: Trainer, config: Mapping[str, Any]) -> None:
    """Pass the config on to the loggers that keep one; the run folder has it in ``.hydra/``."""
    for logger in trainer.loggers:
        if not isinstance(logger, CSVLogger):
            logger.log_hyperparams(dict(config))


def log_image(trainer: Trainer, path: Path, step: int) -> None:
    """Pass an image on to the loggers that take images."""
    for logger in trainer.loggers:
        with survived(f"logging an image to {type(logger).__name__}"):
            _log_image(logger, path, step)


def _log_image(logger: Logger, path: Path, step: int) -> None:
    if isinstance(logger, WandbLogger):
        logger.log_image("samples", [str(path)], step=step)
    elif isinstance(logger, TensorBoardLogger):
        from torchvision.io import decode_image

        logger.experiment.add_image("samples", decode_image(str(path)), global_step=step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(path), "samples")


def log_checkpoints(trainer: Trainer, files: Sequence[Path]) -> None:
    """Pass checkpoints on to the loggers that keep them (``log_model=true``)."""
    for logger in trainer.loggers:
        with survived(f"handing checkpoints to {type(logger).__name__}"):
            _log_files(logger, files)


def _log_files(logger: Logger, files: Sequence[Path]) -> None:
    if isinstance(logger, WandbLogger) and logger._log_model:
        import wandb

        artifact = wandb.Artifact(f"model-{logger.version}", "model")
        for file in files:
            artifact.add_file(str(file), file.name)
        logger.experiment.log_artifact(artifact)
    elif isinstance(logger, MLFlowLogger) and logger._log_model:
        for file in files:
            logger.experiment.log_artifact(logger.run_id, str(file), "checkpoints")


def finish_loggers(trainer: Trainer, failed: bool) -> None:
    """Let loggers end: the next run of this process is another one."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and logger._experiment is not None:
            with survived("closing the run in Weights & Biases"):
                logger._experiment.finish(exit_code=int(failed))
