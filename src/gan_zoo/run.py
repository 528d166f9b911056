"""From a composed config to a trained run: compose, build, train.

The only module that knows Hydra. Everything heavy is imported when it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gan_zoo.checks import (
    check_checkpoint,
    check_complete,
    check_precision,
    check_whole_numbers,
    refuse_processes_in_multirun,
)
from gan_zoo.errors import CompositionError, explain, innermost, is_usage_error

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gan_zoo.data.datamodule import DataModule
    from gan_zoo.module import GANModule

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parents[1] / "conf") if folder.is_dir())


def main() -> None:
    """The command line: compose a config from ``sys.argv`` and train with it, or with each one of a multirun.

    What a user can put right is one line on stderr and exit code 1; with HYDRA_FULL_ERROR=1 it is a traceback.
    """
    wished = os.environ.get("HYDRA_FULL_ERROR", "0")
    wants_traceback = wished == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # while composing, Hydra then raises instead of printing its own report
    sys.path.insert(0, str(Path.cwd()))  # so that _target_ finds a module beside the user
    failures: list[str] = []

    def fail(error: Exception, where: str = "") -> None:
        failures.append(f"error: {where}{explain(error, CONF)}")
        print(failures[-1], file=sys.stderr)

    def job(config: DictConfig) -> None:
        os.environ["HYDRA_FULL_ERROR"] = wished  # processes that the job starts inherit it
        in_multirun = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            if in_multirun:
                refuse_processes_in_multirun(as_plain(config))
            train(config)
        except Exception as error:  # in a multirun a job that fails does not take the others along
            if wants_traceback or not (in_multirun or is_usage_error(error)):
                raise
            fail(error, f"job {HydraConfig.get().job.num}: " if in_multirun else "")

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    except Exception as error:
        if wants_traceback or not is_usage_error(error):
            raise
        fail(error)
    finally:
        os.environ["HYDRA_FULL_ERROR"] = wished
    if failures:
        sys.exit(1)


def train(config: DictConfig) -> dict[str, float]:
    """Build everything ``config`` describes, train, and return the final scores by name.

    Raises:
        CompositionError: if the parts do not fit together; the run folder is then removed again.
        TrainingDiverged: if a loss stops being a number; what was saved before stays.
    """
    from gan_zoo.reporting import write_report
    from gan_zoo.summary import print_summary

    run_dir = Path(config.run_dir)
    try:
        trainer, module, data = build(config)
    except Exception as error:
        remove_empty_run(run_dir)
        if is_usage_error(error, building=True):
            raise CompositionError(explain(error, CONF)) from error
        raise
    try:
        trainer.fit(module, datamodule=data, ckpt_path=config.ckpt_path)
    except BaseException as error:
        if run_dir.is_dir():
            (run_dir / "FAILED.txt").write_text(f"{type(error).__name__}: {error}\n")
            write_report(run_dir)
        raise
    if trainer.is_global_zero and run_dir.is_dir():
        write_report(run_dir)
    print_summary(run_dir, trainer, module)
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}


def build(config: DictConfig) -> tuple[Trainer, GANModule, DataModule]:
    """The trainer, the module and the data that ``config`` describes, checked against each other."""
    import torch
    from lightning.pytorch.callbacks import Checkpoint, ProgressBar

    from gan_zoo.callbacks.checkpoints import AtomicCheckpointIO
    from gan_zoo.quiet import quiet

    quiet()
    check_complete(OmegaConf.to_container(config, resolve=False))
    plain = as_plain(config)
    check_whole_numbers(plain)
    check_precision(plain["trainer"]["precision"])
    check_checkpoint(plain)
    torch.manual_seed(config.seed)
    data = build_data(config)
    module = build_module(config)
    data.serve(module.game.needs)
    callbacks = instantiate_each(config.callbacks)
    trainer: Trainer = instantiate(
        config.trainer,
        logger=instantiate_each(config.logger),
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        # Lightning would add its own of each where the config has none.
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
    )
    module.check(trainer)
    data.check(trainer.world_size)
    if config.data.batch_size // trainer.world_size % config.pack:
        raise CompositionError(
            f"pack={config.pack} must divide the batch of each process, {config.data.batch_size // trainer.world_size}"
        )
    return trainer, module, data


def build_data(config: DictConfig) -> DataModule:
    """The data set of ``config.data`` and its stream of batches."""
    from gan_zoo.data.datamodule import DataModule
    from gan_zoo.data.source import check_interface

    options = config.data
    source = instantiate(options.source)
    check_interface(source, options.sample_shape, options.num_classes, options.condition_shape)
    return DataModule(
        source,
        batch_size=options.batch_size,
        seed=config.seed,
        flip=options.flip,
        num_workers=options.num_workers,
        memory_limit=options.memory_limit,
    )


def build_module(config: DictConfig) -> GANModule:
    """The game of ``config.model`` with its networks, the loss, the regularizers and the optimizers."""
    from gan_zoo.module import GANModule
    from gan_zoo.version import provenance

    networks = {"generator": network_factory(config.generator, "generator")}
    if "_target_" in config.discriminator:
        networks["discriminator"] = critic_factory(config)
    return GANModule(
        build_game(config, networks),
        loss=instantiate(config.loss.adversarial),
        regularizers={name: instantiate(node) for name, node in config.regularizer.items() if node is not None},
        generator_optimizer=instantiate(config.optim.generator),
        discriminator_optimizer=instantiate(config.optim.discriminator),
        schedule=instantiate(config.optim.schedule),
        n_critic=config.loss.n_critic,
        clip_grad_norm=config.optim.clip_grad_norm,
        ema=OmegaConf.to_container(config.ema) if config.ema is not None else None,  # type: ignore[arg-type]
        channels_last=config.channels_last,
        metadata={"config": as_plain(config), "provenance": provenance()},
    )


def build_game(config: DictConfig, networks: Mapping[str, Any]) -> Any:
    """The game of ``config.model`` with networks from these factories."""
    try:
        return instantiate(config.model, **networks)
    except TypeError as error:
        if "discriminator" in networks or "'discriminator'" not in str(error):
            raise
        raise CompositionError("this model needs a critic: discriminator=none goes with model=vae alone") from error


def critic_factory(config: DictConfig) -> Any:
    """What makes a game's critics: the network of ``config.discriminator``, each behind an augmentation of its own.

    Raises:
        CompositionError: if the data are not pictures that ``config.augment`` could change.
    """
    discriminator = network_factory(config.discriminator, "discriminator")
    if config.pack != 1:
        from gan_zoo.networks.minibatch import PackedCritic

        options = {"sample_shape": list(config.data.sample_shape), "pack": config.pack}
        discriminator = partial(PackedCritic, discriminator, **options)
    if not config.augment:
        return discriminator
    from gan_zoo.networks.augment import AugmentedCritic

    shape = list(config.data.sample_shape)
    if len(shape) != 3:
        raise CompositionError(f"augment works on pictures, the data's sample_shape is {shape}: use augment=none")
    return lambda *args, **kwargs: AugmentedCritic(discriminator(*args, **kwargs), instantiate(config.augment))


def network_factory(node: Any, group: str) -> Any:
    """What makes networks of ``node``; a request that the network does not know is an error that says so."""
    make = instantiate(node)

    def network(**wishes: Any) -> Any:
        try:
            return make(**wishes)
        except TypeError as error:
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if unknown is None:
                raise
            raise CompositionError(
                f"this model asks {group}=... for {unknown.group(1)}, which {make.func.__name__} does not have: choose "
                f"another {group}="
            ) from error

    return network


def as_plain(config: DictConfig) -> dict[str, Any]:
    """A config as plain containers, all interpolations resolved."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain  # type: ignore[no-any-return]


def as_config(plain: Mapping[str, Any]) -> DictConfig:
    """A config again from what a checkpoint carries."""
    return OmegaConf.create(dict(plain))


def compose_overrides(overrides: Sequence[str]) -> DictConfig:
    """The config that these overrides compose.

    Raises:
        CompositionError: if they do not.
    """
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", list(overrides))
    except Exception as error:
        if not is_usage_error(error):
            raise
        raise CompositionError(explain(error, CONF)) from error


def evaluators_of(config: DictConfig, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The evaluators of a run's config, or with ``metric`` and ``extractor`` as ``overrides`` say.

    Raises:
        CompositionError: for overrides of anything else.
    """
    if overrides:
        if foreign := [o for o in overrides if not o.lstrip("+~").startswith(("metric", "extractor"))]:
            raise CompositionError(f"only metric and extractor can be overridden here, got {foreign[0]!r}")
        named = [] if any(o.startswith("metric=") for o in overrides) else [f"metric=[{','.join(config.metric)}]"]
        chosen = compose_overrides([*named, *overrides])
        if not any(o.startswith("extractor") for o in overrides):
            chosen.extractor = config.extractor
        config = chosen
    return {name: instantiate(node) for name, node in config.metric.items() if node is not None}


def instantiate(node: Any, **kwargs: Any) -> Any:
    """The one way from a config node to an object: plain Python containers, never a ``DictConfig``.

    What a constructor raises comes through as it is.
    """
    if node is None:
        return None
    try:
        return hydra.utils.instantiate(node, **kwargs, _convert_="all")
    except InstantiationException as error:
        raise innermost(error) from error


def instantiate_each(group: DictConfig | None) -> list[Any]:
    """The objects of a group of named nodes, in order; null nodes are left out."""
    return [instantiate(node) for node in (group or {}).values() if node is not None]


def remove_empty_run(run_dir: Path) -> None:
    """Remove a run folder in which nothing but Hydra's own record of the config was written."""
    import shutil

    if run_dir.is_dir() and {entry.name for entry in run_dir.iterdir()} <= {".hydra"}:
        shutil.rmtree(run_dir)
        for parent in run_dir.parents[:2]:
            if parent.name in ("", Path.cwd().name) or any(parent.iterdir()):
                break
            parent.rmdir()


if __name__ == "__main__":
    main()
