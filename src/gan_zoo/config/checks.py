"""What a config must satisfy before anything is built; on plain containers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.nested import get_dotted


def check_complete(config: Any) -> None:
    """Raise `ConfigError` naming a value that only the user can give; of a config that is not
    resolved yet.
    """
    missing = sorted(_missing(config), key=len)
    if missing:
        raise ConfigError(f"{missing[0]} must be given: add {missing[0]}=...")


def _missing(node: Any, name: str = "") -> list[str]:
    if isinstance(node, dict):
        return [
            found
            for key, value in node.items()
            for found in _missing(value, f"{name}.{key}" if name else str(key))
        ]
    return [name] if node == "???" else []


def check_integers(config: Mapping[str, Any]) -> None:
    """Raise `ConfigError` naming a number that Lightning or torch would only trip over."""
    for name, least in {"seed": 0, "trainer.max_steps": -1, "trainer.log_every_n_steps": 1}.items():
        value = get_dotted(config, name)
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} must be an integer >= {least}, got {value!r}")


INSTEAD = {
    "accumulate_grad_batches": "data.batch_size",
    "barebones": "callbacks=none",
    "callbacks": "callbacks.NAME",
    "check_val_every_n_epoch": "callbacks.evaluation.every_images",
    "enable_checkpointing": "callbacks.checkpoints=null",
    "enable_progress_bar": "callbacks.progress=null",
    "fast_dev_run": "debug=fast",
    "gradient_clip_algorithm": "optim.clip_grad_norm",
    "gradient_clip_val": "optim.clip_grad_norm",
    "limit_predict_batches": "gan-zoo sample --count",
    "limit_test_batches": "callbacks.evaluation.num_samples",
    "limit_train_batches": "trainer.max_steps",
    "limit_val_batches": "callbacks.evaluation.num_samples",
    "logger": "logger=NAME",
    "min_epochs": "trainer.max_steps",
    "min_steps": "trainer.max_steps",
    "num_sanity_val_steps": "callbacks.evaluation.every_images",
    "overfit_batches": "a small data set, such as data=digits",
    "plugins": "trainer.strategy and trainer.precision",
    "reload_dataloaders_every_n_epochs": "nothing: batches never end",
    "use_distributed_sampler": "nothing: the order of samples is our own",
    "val_check_interval": "callbacks.evaluation.every_images",
}
"""Arguments of Lightning's trainer that training by our own loop would ignore or refuse, and what
does it here.
"""


def check_trainer(trainer: Mapping[str, Any], settled: Mapping[str, Any]) -> None:
    """Raise `ConfigError` naming an argument of Lightning's trainer that would not do what it says.

    Args:
        trainer: the arguments.
        settled: values that follow from how we train.
    """
    # Arguments without effect are allowed at the values that training has anyway.
    for name, value in trainer.items():
        if name in INSTEAD and settled.get(name, _NOTHING) != value:
            raise ConfigError(
                f"trainer.{name} has no effect here, use {INSTEAD[name]}; got {value!r}"
            )

    # The length of training, in steps and epochs; in Python a bool is an integer, too.
    steps, epochs = trainer["max_steps"], trainer.get("max_epochs")
    if steps == 0:
        raise ConfigError("trainer.max_steps must be >= 1, or -1 for training without end, got 0")
    if epochs is not None and (
        isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1
    ):
        raise ConfigError(f"trainer.max_epochs must be an integer >= 1 or null, got {epochs!r}")


_NOTHING = object()


def check_divergence(divergence: Any) -> None:
    """Raise `ConfigError` unless ``divergence`` says how often to go back, and by what factor to
    slow down.
    """
    if not isinstance(divergence, Mapping) or not {"retries", "factor"} <= divergence.keys():
        raise ConfigError(f"divergence must have retries and factor, got {divergence!r}")
    retries, factor = divergence["retries"], divergence["factor"]
    if not isinstance(retries, int) or retries < 0:
        raise ConfigError(f"divergence.retries must be an integer >= 0, got {retries!r}")
    if not isinstance(factor, (int, float)) or not 0 < factor < 1:
        raise ConfigError(f"divergence.factor must be between 0 and 1, got {factor!r}")


def check_single_process_multirun(config: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where Lightning's process launcher would run the whole sweep again in
    each process.
    """
    # Started by torchrun or Slurm, each process is one of a job already.
    started_outside = "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ
    devices = config["trainer"].get("devices", 1)
    if devices not in (1, "1", "auto") and not started_outside:
        raise ConfigError(
            f"jobs of this launcher have a single process, got trainer.devices={devices}: use"
            " launcher=local, which gives each job processes of its own"
        )
