"""From a config to its objects, checked against each other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from gan_zoo.config.allowlist import check_no_paths, check_targets
from gan_zoo.config.checks import (
    check_complete,
    check_integers,
    check_trainer,
)
from gan_zoo.config.compose import (
    compose_overrides,
    instantiate,
    instantiate_each,
    reach_own_parts,
    to_dict,
)
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.core.precision import check_precision
from gan_zoo.runs.overrides import override_key
from gan_zoo.runs.resume import data_identity

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gan_zoo.data.datamodule import DataModule
    from gan_zoo.training.module import GANModule
    from gan_zoo.training.scalar_schedules import ScalarSchedule


def build(config: DictConfig) -> tuple[Trainer, GANModule, DataModule]:
    """The trainer, the module and the data that ``config`` describes.

    Raises:
        ConfigError: for a value that is missing or not allowed.
        ValueError: where the parts do not work together.
    """
    import torch

    from gan_zoo.core.warning_filters import quiet
    from gan_zoo.training.trial import try_parts

    # The config, before anything is built.
    quiet()
    plain = check_config(config)

    # The networks, which are initialized from the seed, then the data, which may take minutes.
    torch.manual_seed(config.seed)
    module = build_module(config)
    data = build_data(config)
    module.metadata["data"] = data_identity(data.source, plain["data"].get("root"))
    data.require(module.model.needs, module.model.allows_unlabeled)
    trainer = build_trainer(config, data)

    # The parts together.
    check_built(config, trainer, module, data)
    try_parts(module, data)
    return trainer, module, data


def check_config(config: DictConfig) -> dict[str, Any]:
    """The resolved config as plain containers, whose values are allowed.

    Raises:
        ConfigError: naming the first value that is not.
    """
    from gan_zoo.config.signatures import check_arguments
    from gan_zoo.training.trainer import FIXED_TRAINER_ARGS

    # Every value is set, and of a kind that its place allows.
    check_complete(OmegaConf.to_container(config, resolve=False))
    plain = to_dict(config)
    check_integers(plain)
    check_precision(plain["trainer"]["precision"])
    check_trainer(plain["trainer"], FIXED_TRAINER_ARGS)

    # The config of a run that somebody else may have made names our own classes only.
    if plain["resume"] not in (None, "auto") and not plain["trust"]:
        check_targets(plain, CONF, "trust=true")
        check_no_paths(plain, "trust=true")
    else:
        reach_own_parts(plain)
    check_arguments(plain)
    return plain


def build_trainer(config: DictConfig, data: DataModule) -> Trainer:
    """Lightning's trainer with the callbacks and loggers of ``config``."""
    from gan_zoo.training.trainer import make_trainer, resolved_precision, steps_of_epochs

    # Batches come from an endless stream, so epochs become a number of steps.
    steps = steps_of_epochs(config.trainer.max_epochs, data, config.trainer.max_steps)
    make = partial(
        instantiate,
        config.trainer,
        precision=resolved_precision(config.trainer.precision),
        max_steps=steps,
        max_epochs=None,
    )
    return make_trainer(make, instantiate_each(config.callbacks), instantiate_each(config.logger))


def check_built(config: DictConfig, trainer: Trainer, module: GANModule, data: DataModule) -> None:
    """Raise `ValueError` where the parts of a run do not work together."""
    from gan_zoo.training.trainer import check_compatible
    from gan_zoo.training.trial import check_kinds

    # The retries of `train` loop within one process.
    processes = trainer.world_size
    if config.divergence.retries and processes > 1:
        raise ConfigError(
            f"divergence.retries needs a single process, got {processes}: use resume=auto instead"
        )

    # Evaluators, then the module and the data, have to fit the trainer.
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, "evaluators"):
            check_kinds(callback.evaluators)
    check_compatible(trainer, module, data)

    # Packs are made of the batch of one process.
    batch = config.data.batch_size // processes
    if batch % config.pack:
        raise ConfigError(f"pack={config.pack} must divide the batch of each process, {batch}")


def build_data(config: DictConfig) -> DataModule:
    """The data set of ``config.data`` and its stream of batches."""
    from gan_zoo.data.crops import with_crops
    from gan_zoo.data.datamodule import DataModule
    from gan_zoo.data.dataset import check_matches_config
    from gan_zoo.data.derived import with_derived_conditions
    from gan_zoo.data.few_labels import with_few_labels
    from gan_zoo.training.trial import check_source

    # The samples, perhaps cropped, with derived conditions and few labels.
    options = config.data
    if options.get("load_size") is None:
        source = instantiate(options.source)
        check_source(source)
    elif "image_size" not in options:
        raise ConfigError("data.load_size is for data with data.image_size: leave it at null")
    else:
        source = instantiate(options.source, image_size=options.load_size)
        check_source(source)
        source = with_crops(source, options.image_size)
    if options.get("derive") is not None:
        source = with_derived_conditions(
            source, instantiate(options.derive), bool(options.get("unpaired"))
        )
    if options.get("labeled") is not None:
        source = with_few_labels(source, options.labeled)

    # Networks are sized by the config, so the data have to match it.
    check_matches_config(source, options.sample_shape, options.num_classes, options.condition_shape)
    return DataModule(
        source,
        batch_size=options.batch_size,
        seed=config.seed,
        flip=options.flip,
        num_workers=options.num_workers,
        memory_limit=options.memory_limit,
    )


def build_module(config: DictConfig) -> GANModule:
    """The model of ``config.model`` with its networks, the loss, the regularizers and the
    optimizers.
    """
    from gan_zoo.core.provenance import provenance
    from gan_zoo.training.module import GANModule

    # The model makes the networks, as it knows their inputs: here are factories of them.
    networks = {"generator": network_factory(config.generator, "generator")}
    if "_target_" in config.discriminator:
        networks["discriminator"] = discriminator_factory(config)

    # The loss and the regularizers, which may be custom classes.
    loss = instantiate(config.loss.adversarial)
    regularizers = {
        name: instantiate(node) for name, node in config.regularizer.items() if node is not None
    }
    check_parts(loss, regularizers)

    # The module, whose metadata say how it was made.
    return GANModule(
        build_model(config, networks),
        loss=loss,
        regularizers=regularizers,
        generator_optimizer=instantiate(config.optim.generator),
        discriminator_optimizer=instantiate(config.optim.discriminator),
        schedule=instantiate(config.optim.schedule),
        horizon=config.optim.horizon,
        n_critic=config.loss.n_critic,
        n_generator=config.loss.n_generator,
        unroll=config.loss.unroll,
        accumulate=to_dict(config).get("accumulate", 1),
        schedules=scalar_schedules(config),
        clip_grad_norm=config.optim.clip_grad_norm,
        ema=OmegaConf.to_container(config.ema) if config.ema is not None else None,  # type: ignore[arg-type]
        channels_last=config.channels_last,
        compiled=to_dict(config).get("compiled"),
        metadata={"config": to_dict(config), "provenance": provenance()},
    )


def scalar_schedules(config: DictConfig) -> dict[str, ScalarSchedule]:
    """The numbers of ``config.schedules`` that change with the images seen, by name."""
    from gan_zoo.training.scalar_schedules import ScalarSchedule

    return {
        name: ScalarSchedule(**node)
        for name, node in to_dict(config).get("schedules", {}).items()
        if node
    }


def check_parts(loss: Any, regularizers: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a loss or a regularizer of one's own that lacks its base class."""
    from gan_zoo.losses.base import Loss
    from gan_zoo.regularizers.base import GeneratorRegularizer, Regularizer

    # Generator regularizers have a base class of their own, the others share one.
    expected: list[tuple[str, Any, type]] = [("loss.adversarial", loss, Loss)]
    for name, part in regularizers.items():
        if not isinstance(part, GeneratorRegularizer):
            expected.append((f"regularizer.{name}", part, Regularizer))

    # Name the first part that is not a subclass of its base.
    for name, part, kind in expected:
        if not isinstance(part, kind):
            raise ConfigError(
                f"{name} must be a subclass of {kind.__module__}.{kind.__name__}, got a"
                f" {type(part).__name__}"
            )


def build_model(config: DictConfig, networks: Mapping[str, Any]) -> Any:
    """The model of ``config.model`` with networks from these factories."""
    try:
        return instantiate(config.model, **networks)
    except TypeError as error:
        # Any other `TypeError` is a bug.
        if "discriminator" in networks or "'discriminator'" not in str(error):
            raise
        raise ConfigError(
            "this model needs a discriminator: discriminator=none goes with model=vae and aae alone"
        ) from error


def discriminator_factory(config: DictConfig) -> Any:
    """What makes a model's discriminators: the network of ``config.discriminator`` behind an
    augmentation of its own.

    Raises:
        ConfigError: if the data are not images that ``config.augment`` could change.
    """
    # The network, which sees packs of samples (PacGAN) and may keep its first layers (FreezeD).
    discriminator = network_factory(config.discriminator, "discriminator")
    if config.pack != 1:
        from gan_zoo.networks.packing import PackedDiscriminator

        options = {"sample_shape": list(config.data.sample_shape), "pack": config.pack}
        discriminator = partial(PackedDiscriminator, discriminator, **options)
    frozen_layers = config.get("freeze_discriminator", 0)
    if frozen_layers:
        discriminator = partial(_made_and_frozen, discriminator, frozen_layers)

    # Augmentation goes around all of it, and works on images alone.
    if not config.augment:
        return discriminator
    from gan_zoo.augmentation.base import AugmentedDiscriminator

    shape = list(config.data.sample_shape)
    if len(shape) != 3:
        raise ConfigError(
            f"augment works on images, the data's sample_shape is {shape}: use augment=none"
        )
    return lambda *args, **kwargs: AugmentedDiscriminator(
        discriminator(*args, **kwargs), instantiate(config.augment)
    )


def _made_and_frozen(
    discriminator: Callable[..., Any], frozen_layers: int, **arguments: Any
) -> Any:
    from gan_zoo.networks.freezing import freeze_first_layers

    return freeze_first_layers(discriminator(**arguments), frozen_layers)


def network_factory(node: Any, group: str) -> Any:
    """A factory of networks of ``node``, which names an argument that the network does not have."""
    # The node is partial: the model adds arguments when it makes the network.
    make = instantiate(node)
    if not callable(make) or not hasattr(make, "func"):
        raise ConfigError(
            f"{group} needs _partial_: true with its _target_, as the model itself makes the"
            f" network and says what goes in; got a {type(make).__name__}"
        )

    # An argument that the network lacks is a mistake in the config, not a bug.
    def network(**arguments: Any) -> Any:
        try:
            return make(**arguments)
        except TypeError as error:
            # Any other `TypeError` is a bug.
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if unknown is None:
                raise
            raise ConfigError(
                f"this model calls {group}=... with {unknown.group(1)}, which {make.func.__name__}"
                f" does not have: choose another {group}="
            ) from error

    # Models look at the signature to see which arguments the network takes.
    network.__signature__ = inspect.signature(make.func)  # type: ignore[attr-defined]
    return network


def build_evaluators(config: DictConfig, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The evaluators of a run's config, or with ``metric`` and ``extractor`` as ``overrides`` say.

    Raises:
        ConfigError: for overrides of anything else.
    """
    if overrides:
        # Nothing else of the run can be replaced here.
        if foreign := [
            o for o in overrides if not o.lstrip("+~").startswith(("metric", "extractor"))
        ]:
            raise ConfigError(
                f"only metric and extractor can be overridden here, got {foreign[0]!r}"
            )

        config = with_metric_overrides(config, overrides)
    return {name: instantiate(node) for name, node in config.metric.items() if node is not None}


def with_metric_overrides(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of a run with other metrics, another extractor, or other arguments of them; what
    the overrides do not name stays as in the run.
    """
    # Other metrics, over the run's extractor unless there is another.
    chooses_metrics = any(o.startswith("metric=") for o in overrides)
    chooses_extractor = any(o.startswith("extractor") for o in overrides)
    named = [] if chooses_metrics else [f"metric=[{','.join(config.metric)}]"]
    chosen = compose_overrides([*named, *overrides])
    if not chooses_extractor:
        chosen.extractor = config.extractor
    if chooses_metrics:
        return chosen

    # The run's own metrics: only the extractor and the arguments that are named change.
    kept = OmegaConf.create({"metric": OmegaConf.to_container(config.metric, resolve=True)})
    for node in kept.metric.values():
        if chooses_extractor and node is not None and "extractor" in node:
            node.extractor = chosen.extractor
    for override in overrides:
        if (key := override_key(override.lstrip("~"))).startswith("metric."):
            OmegaConf.update(kept, key, OmegaConf.select(chosen, key), force_add=True)
    return kept
