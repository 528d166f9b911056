"""Loggers that go on where a resumed run goes on."""

from __future__ import annotations

import csv
import math
import netrc
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from gan_zoo.files import atomic_path, whole_rows
from gan_zoo.guard import survived

WANDB_FOLDER = re.compile(r"(offline-)?run-(?P<time>\d{8}_\d{6})-(?P<id>.+)")


def log(trainer: Trainer, numbers: Mapping[str, float], step: int) -> None:
    """Pass numbers on to the loggers, and to what shows the latest ones."""
    trainer.callback_metrics.update({name: torch.tensor(number) for name, number in numbers.items()})
    for logger in trainer.loggers:
        with survived(f"logging to {type(logger).__name__}"):
            logger.log_metrics(dict(numbers), step=step)


def log_config(trainer: Trainer, config: Mapping[str, Any]) -> None:
    """Pass the config on to the loggers that keep one; the run folder has it in ``.hydra/``."""
    for logger in trainer.loggers:
        if not isinstance(logger, CSVLogger):
            logger.log_hyperparams(dict(config))


def log_picture(trainer: Trainer, path: Path, step: int) -> None:
    """Pass a picture on to the loggers that take pictures."""
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
    """Pass checkpoints on to the loggers that were told to keep them (``log_model=true``)."""
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


def close(trainer: Trainer, failed: bool) -> None:
    """Let loggers end: the next run of this process is another one."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and logger._experiment is not None:
            with survived("closing the run in Weights & Biases"):
                logger._experiment.finish(exit_code=int(failed))


class CSVLog(CSVLogger):
    """``metrics.csv`` in the run folder; a resumed run appends to it.

    Args:
        save_dir: the run folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="", version="", flush_logs_every_n_steps=1)

    @property
    def experiment(self) -> Any:
        """What writes the file, on rank 0."""
        if self._experiment is None and getattr(rank_zero_only, "rank", 0) == 0:
            self._experiment = _Appending(self.log_dir)
        return super().experiment


class _Appending(ExperimentWriter):
    """Keeps the rows that are there."""

    def _check_log_dir_exists(self) -> None:
        if Path(self.metrics_file_path).is_file():
            with Path(self.metrics_file_path).open(encoding="utf-8", newline="") as file:
                self.metrics_keys = list(csv.DictReader(file).fieldnames or [])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with Path(self.metrics_file_path).open(encoding="utf-8", newline="") as file:
            _write(Path(self.metrics_file_path), fieldnames, list(csv.DictReader(file)))


class History(Logger):
    """What is logged, kept in memory by name: ``history["d/realism"]`` are the numbers, ``history["step"]`` the steps.

    A name that is logged less often than others has NaN where it is not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        """What Lightning asks every logger for."""
        return "history"

    @property
    def version(self) -> str:
        """What Lightning asks every logger for."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append({"step": float(step or 0), **metrics})

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: whoever made the parts has them."""

    def names(self) -> list[str]:
        """What was logged, in the order in which it first came."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names():
            raise KeyError(f"{name!r} was not logged; there are {', '.join(self.names()) or 'no entries'}")
        return [row.get(name, math.nan) for row in self.rows]


def rewind_csv(path: Path, step: int) -> None:
    """Drop the rows of ``metrics.csv`` that were logged after ``step``, from where the run goes on."""
    if path.is_file():
        header, rows = whole_rows(path)
        _write(path, header, [row for row in rows if row.get("step", "").isdigit() and int(row["step"]) <= step])


def _write(path: Path, fieldnames: list[str], rows: list[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def wandb_logger(save_dir: str, project: str, offline: bool | None = None, **options: Any) -> WandbLogger:
    """A Weights & Biases logger that goes offline, and says so, when there is no key to go online with.

    A resumed run goes on under the id that it began with, or under ``id`` or ``WANDB_RUN_ID`` if they are given.

    Args:
        save_dir: the run folder.
        project: the project's name, without any of ``/ \\ # ? % :``.
        offline: True or False to insist, None to decide by whether there is a key.
        options: further arguments of `lightning.pytorch.loggers.WandbLogger`.

    Raises:
        ValueError: if ``project`` cannot be a project's name.
    """
    if bad := set("/\\#?%:") & set(project):
        raise ValueError(f"logger.wandb.project must not hold {' '.join(sorted(bad))}, got {project!r}")
    os.environ.setdefault("WANDB_SILENT", "true")
    if offline is None:
        offline = os.environ.get("WANDB_MODE", "") != "online" and not _has_key()
        if offline:
            print(f"wandb: no API key, logging offline; later: wandb sync {save_dir}/wandb/*")
    if not offline:
        options["resume"] = "allow"
    run = Path(save_dir)
    options["name"] = options.get("name") or "/".join(run.absolute().parts[-2:])
    options["id"] = options.get("id") or os.environ.get("WANDB_RUN_ID") or _begun_as(run)
    logger = WandbLogger(save_dir=save_dir, project=project, offline=offline, **options)
    logger._wandb_init.pop("anonymous", None)  # Lightning passes it on, wandb warns of it
    return logger


def _begun_as(run: Path) -> str | None:
    """The id that the run's folders in ``wandb/`` end in, ``run-<date>-<id>``; None if it begins now."""
    names = [WANDB_FOLDER.fullmatch(folder.name) for folder in run.glob("wandb/*run-*-*")]
    begun = sorted((name["time"], name["id"]) for name in names if name is not None)
    return begun[-1][1] if begun else None


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc(Path("~/.netrc").expanduser()).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    wanted = os.environ.get("WANDB_BASE_URL", "api.wandb.ai")
    return any(host in wanted for host in hosts)
