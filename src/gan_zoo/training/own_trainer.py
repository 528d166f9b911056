"""A `GANModule` in a Lightning trainer of the user's own, and with batches of any data loader."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor

from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.precision import check_precision
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch
from gan_zoo.data.datamodule import DataModule
from gan_zoo.training.strategy import FlatDDPStrategy

if TYPE_CHECKING:
    from gan_zoo.training.module import GANModule

ACCEPTED = (
    "a batch must be samples [B, ...] in [-1, 1], a pair of samples and classes [B], or a"
    " gan_zoo.Batch"
)


def check_own_trainer(trainer: Trainer, module: GANModule) -> None:
    """Raise `ConfigError` for what a trainer was asked for and would not do; called as training
    begins.
    """
    check_precision(trainer.precision)
    if not isinstance(trainer.strategy, (SingleDeviceStrategy, FlatDDPStrategy)):
        raise ConfigError(
            "strategy must be gan_zoo.training.strategy.FlatDDPStrategy() for several processes,"
            f" got {type(trainer.strategy).__name__}"
        )
    overfit = trainer.overfit_batches  # type: ignore[attr-defined]
    if overfit:
        raise ConfigError(
            "overfit_batches has no effect, as every step draws new samples: use a small data set;"
            f" got {overfit}"
        )

    # Our data have what the model needs, and no end.
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, DataModule):
        return
    data.require(module.model.needs, module.model.allows_unlabeled)
    data.check(trainer.world_size)
    endless = isinstance(trainer.limit_train_batches, float)
    if trainer.max_epochs not in (None, -1) and endless:
        raise ConfigError(
            "batches of gan_zoo.DataModule never end, so max_epochs has no effect: give max_steps,"
            f" max_time, or limit_train_batches as the length of an epoch; got max_epochs="
            f"{trainer.max_epochs}"
        )


def as_batch(batch: Any, module: GANModule, is_first: bool) -> Batch:
    """What a data loader gives as a `Batch`, with random numbers that depend on the step alone.

    Args:
        batch: samples ``[B, ...]``, a pair of samples and classes ``[B]`` (int64), or a `Batch`.
        module: knows the step, the process and what its model needs; the seed is that of
            ``seed_everything``, or 0.
        is_first: whether to look at the numbers, for which a GPU has to be waited for.

    Raises:
        DataError: for anything else, samples that are not in [-1, 1], or classes that the model
            needs and the batch lacks.
    """
    if isinstance(batch, Batch):
        return batch

    # Samples, perhaps with classes.
    samples, *rest = batch if isinstance(batch, (list, tuple)) and batch else (batch,)
    label = rest[0] if rest else None
    is_label = isinstance(label, Tensor) and label.dtype == torch.int64 and label.ndim == 1
    if not isinstance(samples, Tensor) or len(rest) > 1 or not (label is None or is_label):
        raise DataError(f"{ACCEPTED}, got {_described(batch)}")
    if not samples.is_floating_point() or (is_first and samples.abs().max() > 1 + 1e-3):
        raise DataError(
            "samples must be floating-point numbers in [-1, 1], got"
            f" {str(samples.dtype).removeprefix('torch.')} from {samples.min():.4g} to"
            f" {samples.max():.4g}"
        )
    missing = set(module.model.needs) - ({"label"} if is_label else set())
    if missing:
        raise DataError(
            f"this model needs batches with {' and '.join(sorted(missing))}: use"
            f" gan_zoo.DataModule, or give a gan_zoo.Batch; got {_described(batch)}"
        )

    seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
    trainer = module.trainer
    rng = StepRNG(
        seed, trainer.global_step, trainer.global_rank, trainer.world_size, samples.device
    )
    return Batch(len(samples), rng, samples, label)


def _described(value: Any) -> str:
    """``list of Tensor [16, 1, 8, 8], int``."""
    if isinstance(value, Tensor):
        return f"Tensor {list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, (list, tuple)):
        parts = ", ".join(_described(part) for part in value)
        return f"{type(value).__name__} of {parts}"
    return type(value).__name__
