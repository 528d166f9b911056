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
from gan_zoo.loggers.sections import IMAGES_SEEN, SAMPLES
from gan_zoo.loggers.wandb import Finding, alert, define_metrics, log_models, use_data


def log(trainer: Trainer, numbers: Mapping[str, float], step: int) -> None:
    """Pass numbers on to the loggers, and to what shows the latest ones."""
    trainer.callback_metrics.update(
        {name: torch.tensor(number) for name, number in numbers.items()}
    )
    for logger in trainer.loggers:
        with survived(f"logging to {type(logger).__name__}"):
            logger.log_metrics(_with_axis(logger, trainer, numbers), step=step)


def _with_axis(logger: Logger, trainer: Trainer, numbers: Mapping[str, float]) -> dict[str, float]:
    """Numbers with the images seen, where these are the axis that they are drawn over."""
    clock = getattr(trainer.lightning_module, "clock", None)
    if not isinstance(logger, WandbLogger) or clock is None:
        return dict(numbers)
    return {IMAGES_SEEN: float(clock.images_seen), **numbers}


def log_directions(trainer: Trainer, best: Mapping[str, str]) -> None:
    """Tell the loggers that keep the best value of a metric whether it is the smallest or the
    largest: ``min`` or ``max`` by name.
    """
    for logger in trainer.loggers:
        with survived(f"describing metrics to {type(logger).__name__}"):
            if isinstance(logger, WandbLogger):
                define_metrics(logger, best)


def log_protocols(trainer: Trainer, protocols: Mapping[str, Mapping[str, Any]]) -> None:
    """How each metric was computed, by its name, into the config that loggers keep."""
    for logger in trainer.loggers:
        with survived(f"describing metrics to {type(logger).__name__}"):
            if isinstance(logger, WandbLogger):
                config = {"protocol": {name: dict(of) for name, of in protocols.items()}}
                logger.experiment.config.update(config, allow_val_change=True)


def log_finding(trainer: Trainer, findings: Sequence[Finding]) -> None:
    """Pass on what a diagnosis found, the new finding last, to the loggers that alert somebody or
    keep texts.
    """
    # A logger that fails must not end the training.
    for logger in trainer.loggers:
        with survived(f"handing a finding to {type(logger).__name__}"):
            if isinstance(logger, WandbLogger):
                alert(logger, findings)
            elif isinstance(logger, TensorBoardLogger):
                _, title, text = findings[-1]
                step = trainer.global_step
                logger.experiment.add_text(f"doctor/{title}", text, global_step=step)


def log_config(trainer: Trainer, config: Mapping[str, Any]) -> None:
    """Pass the config on to the loggers that keep one; the run folder has it in ``.hydra/``."""
    for logger in trainer.loggers:
        if not isinstance(logger, CSVLogger):
            logger.log_hyperparams(dict(config))


def log_data(trainer: Trainer, about: Mapping[str, Any]) -> None:
    """Tell the loggers that keep checkpoints which data they come from."""
    for logger in trainer.loggers:
        with survived(f"describing the data to {type(logger).__name__}"):
            if not isinstance(logger, WandbLogger) or not logger._log_model:
                continue
            if not logger.experiment.offline:
                use_data(logger, about)


def log_image(
    trainer: Trainer, path: Path, step: int, key: str = SAMPLES, caption: str = ""
) -> None:
    """Pass an image on to the loggers that take images, with a caption if they show one."""
    for logger in trainer.loggers:
        with survived(f"logging an image to {type(logger).__name__}"):
            _log_image(logger, path, step, key, caption)


def _log_image(logger: Logger, path: Path, step: int, key: str, caption: str) -> None:
    # Each logger has another method for images.
    if isinstance(logger, WandbLogger):
        logger.log_image(key, [str(path)], step=step, caption=[caption])
    elif isinstance(logger, TensorBoardLogger):
        from torchvision.io import decode_image

        logger.experiment.add_image(key, decode_image(str(path)), global_step=step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(path), key)


def log_checkpoints(trainer: Trainer, files: Sequence[Path]) -> None:
    """Pass checkpoints on to the loggers that keep them (``log_model=true``)."""
    for logger in trainer.loggers:
        with survived(f"handing checkpoints to {type(logger).__name__}"):
            _log_files(logger, files)


def _log_files(logger: Logger, files: Sequence[Path]) -> None:
    # Weights & Biases and MLflow keep files, if their loggers were asked to.
    if isinstance(logger, WandbLogger) and logger._log_model:
        log_models(logger, files)
    elif isinstance(logger, MLFlowLogger) and logger._log_model:
        for file in files:
            logger.experiment.log_artifact(logger.run_id, str(file), "checkpoints")


def finish_loggers(trainer: Trainer, failed: bool) -> None:
    """Let loggers end: the next run of this process is another one."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and logger._experiment is not None:
            with survived("closing the run in Weights & Biases"):
                logger._experiment.finish(exit_code=int(failed))
