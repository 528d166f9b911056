"""From a command to a trained run.

Everything heavy is imported when it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from gan_zoo.config.build import build
from gan_zoo.config.checks import check_divergence
from gan_zoo.config.compose import to_dict
from gan_zoo.config.messages import format_error, is_usage_error
from gan_zoo.core.errors import ConfigError, Interrupted
from gan_zoo.core.paths import CONF
from gan_zoo.core.signals import SIGNALS
from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import PATHS, absolute, with_absolute_values
from gan_zoo.runs.resume import check_same_data, checkpoint_to_resume

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gan_zoo.training.module import GANModule


def train(config: DictConfig) -> dict[str, float]:
    """Build everything ``config`` describes, train, and return the final scores by name.

    After divergence it goes back to the last good checkpoint with smaller learning rates, as often
    as ``config.divergence`` allows.

    Raises:
        ConfigError: if the parts do not fit together; the run folder is then removed again.
        TrainingDiverged: if a loss stops being a number; what was saved before stays.
        Interrupted: on SIGTERM or SIGINT; the state is saved.
    """
    from gan_zoo.core.errors import TrainingDiverged

    # The settings of retries, before anything is built.
    with usage_errors(Path(config.run_dir)):
        check_divergence(to_dict(OmegaConf.masked_copy(config, ["divergence"]))["divergence"])

    # Go back to the last good checkpoint after divergence, as often as allowed.
    retries, lr_scale = config.divergence.retries, 1.0
    for attempt in range(retries + 1):
        try:
            return _train_once(config, lr_scale)
        except TrainingDiverged as error:
            good = RunFolder(config.run_dir).checkpoints.latest_valid()
            if attempt == retries:
                advice = f"; the last good checkpoint is {good}" if good else ""
                raise TrainingDiverged(f"{error}{advice}") from error
            # The checkpoint may come from an earlier retry, whose rates were reduced already.
            saved = read_checkpoint(good)["gan_zoo"]["lr_scale"] if good else 1.0
            lr_scale = min(lr_scale, saved) * config.divergence.factor
            print(
                f"{error}: going back to {good or 'the start'}, learning rates times {lr_scale:g}",
                file=sys.stderr,
            )
    raise AssertionError("unreachable")


def _train_once(config: DictConfig, lr_scale: float) -> dict[str, float]:
    from gan_zoo.config.resolvers import command_choices
    from gan_zoo.launch.initialize import initialize_from
    from gan_zoo.loggers.dispatch import log_config, log_data, log_directions
    from gan_zoo.reports.terminal_summary import print_summary

    # Build everything, and see whether a checkpoint can be continued; nothing is written yet.
    run = RunFolder(config.run_dir)
    rolled_back = lr_scale < 1 and bool(run.checkpoints.entries())
    with usage_errors(run.path):
        with_absolute_paths(config)
        trainer, module, data = build(config)
        # A run that is rolled back resumes from its own checkpoints.
        resolved = to_dict(config) | ({"resume": "auto"} if rolled_back else {})
        check_resumed(checkpoint_to_resume(resolved), module, trainer, config)
    module.rates.lr_scale = lr_scale

    # Train, from the checkpoint if there is one.
    with SIGNALS.handlers_restored(), run.locked() if trainer.is_global_zero else nullcontext():
        # Another process may have been leaving, and saving.
        checkpoint = checkpoint_to_resume(resolved)
        if trainer.is_global_zero:
            save_config(config)
            log_config(trainer, to_dict(config) | {"choices": command_choices()})
            log_data(trainer, module.metadata["data"])
            log_directions(trainer, metric_directions(trainer))
            prepare_resume(checkpoint, run, trainer.max_steps)
        if checkpoint is None and config.init is not None:
            print(initialize_from(module, config.init, config.init_only), flush=True)
        with SIGNALS.raise_after_step(), finalize_run(run, trainer, module):
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    print_summary(run, trainer, module)
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith("val/")
    }


def metric_directions(trainer: Trainer) -> dict[str, str]:
    """``min`` or ``max`` by the name that each evaluator's main metric is logged under."""
    found: dict[str, str] = {}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        for evaluator in getattr(callback, "evaluators", {}).values():
            name, direction = evaluator.best
            found[f"val/{name}"] = direction
    return found


@contextmanager
def usage_errors(run_dir: Path) -> Iterator[None]:
    """Until anything is written, complaints about arguments become one line, and an empty run
    folder is removed.
    """
    try:
        yield
    except BaseException as error:
        remove_empty_run(run_dir)
        if is_usage_error(error, building=True):
            raise ConfigError(format_error(error, CONF)) from error
        raise


def with_absolute_paths(config: DictConfig) -> None:
    """Make paths to data absolute in place, so that the run finds them whatever folder it is
    resumed from.
    """
    for name in PATHS:
        value = OmegaConf.select(config, name, default=None)
        if isinstance(value, str):
            OmegaConf.update(config, name, absolute(value))


def check_resumed(
    checkpoint: Path | None, module: GANModule, trainer: Trainer, config: DictConfig
) -> None:
    """Raise `ConfigError` if the run of ``checkpoint`` cannot go on with these data or for so
    long.
    """
    if checkpoint is None:
        return
    saved = read_checkpoint(checkpoint)["gan_zoo"]
    if not config.other_data:
        check_same_data(saved.get("data"), module.metadata["data"], "other_data=true")
    module.rates.resume(saved.get("horizon"), trainer.max_steps)


def prepare_resume(checkpoint: Path | None, run: RunFolder, max_steps: int) -> None:
    """Clear away what an earlier process left behind in the run folder after its last
    checkpoint.
    """
    from gan_zoo.loggers.csv import truncate_csv

    run.clear_failure()
    if checkpoint is None:
        return

    # Rows after the checkpoint will be logged once more.
    step = int(read_checkpoint(checkpoint)["global_step"])
    truncate_csv(run.log, step)

    # A finished run goes on only with a larger number of steps.
    if step >= max_steps > 0:
        print(
            f"{checkpoint} is that of a finished run of {step:,} steps; to train on:"
            f" trainer.max_steps={2 * step}"
        )
    else:
        print(f"going on from {checkpoint}")


@contextmanager
def finalize_run(run: RunFolder, trainer: Trainer, module: GANModule) -> Iterator[None]:
    """Write the report however training ends, and say how it did where that is not the end it was
    meant to have.
    """
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from gan_zoo.core.distributed import is_lost_process
    from gan_zoo.core.guard import DISK_IS_FULL
    from gan_zoo.loggers.dispatch import finish_loggers
    from gan_zoo.reports.run_report import write_report
    from gan_zoo.training.strategy import is_child_of_lightning

    failure = ""
    try:
        yield
    except (Interrupted, SIGTERMException) as error:  # the latter where no callback listens
        stop = error if isinstance(error, Interrupted) else Interrupted(signal.SIGTERM)
        if trainer.is_global_zero:
            # An evaluation at the start of a resumed run comes before its step is restored.
            saved = run.checkpoints.entries()
            step = module.global_step or (saved[-1].step if saved else 0)
            advice = f"; to go on: resume={run.path}" if saved else ""
            print(f"{stop} at step {step:,}{advice}", file=sys.stderr)
        # Its launcher would kill rank 0, which still has to say goodbye.
        if is_child_of_lightning(trainer):
            sys.exit(0)
        raise stop from None
    except BaseException as error:
        failure = f"{type(error).__name__}: {error}\n"
        # A full disk, and a process that is gone, are for the user to put right: no traceback.
        if isinstance(error, OSError) and error.errno in DISK_IS_FULL:
            raise ConfigError(
                f"no space left for {run.path}; what was saved before is whole, to go on:"
                f" resume={run.path}"
            ) from error
        if is_lost_process(error):
            raise ConfigError(
                "another process of this run has ended, or its machine cannot be reached; to go"
                f" on: resume={run.path}"
            ) from error
        raise
    finally:
        # The failure is written first, as the report shows it.
        if trainer.is_global_zero and run.path.is_dir():
            with suppress(OSError):  # a full disk must not hide what went wrong
                if failure:
                    run.write_failure(failure)
                write_report(run)
        finish_loggers(trainer, bool(failure))


def save_config(config: DictConfig) -> None:
    """Write ``.hydra/`` into the run folder, once the config is known to be good."""
    if not HydraConfig.initialized():
        return
    hydra_config: Any = HydraConfig.instance().cfg
    parts = {"config": config, "hydra": OmegaConf.masked_copy(hydra_config, ["hydra"])}
    texts = {name: OmegaConf.to_yaml(part) for name, part in parts.items()}
    texts["overrides"] = OmegaConf.to_yaml(with_absolute_values(hydra_config.hydra.overrides.task))
    RunFolder(config.run_dir).write_config(texts)


def remove_empty_run(run_dir: Path) -> None:
    """Remove a run folder that nothing was written into, and its parents if they are empty then."""
    if run_dir.is_dir() and not any(run_dir.iterdir()):
        run_dir.rmdir()
        for parent in run_dir.parents[:2]:
            if parent.name in ("", Path.cwd().name) or any(parent.iterdir()):
                break
            parent.rmdir()
