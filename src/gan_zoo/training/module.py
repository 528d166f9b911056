"""The one LightningModule: discriminators and generators, two optimizers, any model, any loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.optim import Optimizer

from gan_zoo.core.types import Count, Whole
from gan_zoo.data.datamodule import DataModule
from gan_zoo.data.dataset import Source
from gan_zoo.data.loader import unit_blocks
from gan_zoo.losses.base import Loss
from gan_zoo.models.base import Model
from gan_zoo.regularizers.base import GeneratorRegularizer, Regularizer
from gan_zoo.training.adversarial_step import (
    AdversarialStep,
    check_step_arguments,
    copies_for_terms,
)
from gan_zoo.training.clock import Clock
from gan_zoo.training.compile import compile_networks
from gan_zoo.training.divergence import DivergenceDetector
from gan_zoo.training.ema import DEFAULT_EMA, EMA
from gan_zoo.training.log_values import log_step
from gan_zoo.training.lr_schedules import LearningRates, Schedule
from gan_zoo.training.micro_batches import check_accumulate
from gan_zoo.training.optimizers import (
    OptimizerFactory,
    adam,
    make_optimizers,
    trained_parameters,
)
from gan_zoo.training.own_trainer import as_batch, check_own_trainer
from gan_zoo.training.sampling_module import SamplingModule
from gan_zoo.training.scalar_schedules import ScalarSchedule, ScalarSchedules
from gan_zoo.training.steps import discriminator_step, generator_steps
from gan_zoo.training.unrolling import Unrolling, check_unrolled
from gan_zoo.training.updater import make_updaters


class GANModule(SamplingModule):
    """Trains every `Model` with every `Loss`.

    A step is a batch, that is one discriminator step: only the discriminator's optimizer is stepped
    through Lightning, so ``global_step``, ``max_steps``, checkpoints and schedules count batches.

    Args:
        model: the networks and their terms.
        loss: what both sides minimize; every adversarial term gets its own copy.
        regularizers: penalties and projections by name; every term gets copies of its own.
        generator_optimizer, discriminator_optimizer: make an optimizer from a list of parameters.
        schedule: factor on both learning rates as a function of progress, or None.
        horizon: steps over which progress goes from 0 to 1; None for those that the run is started
            with, which a resumed run keeps however long it is extended.
        n_critic: discriminator steps for each generator step.
        n_generator: generator steps after that, each with new latents.
        unroll: steps of the discriminator that the generator looks ahead, see `Unrolling`.
        accumulate: equal parts of the batch whose gradients are accumulated, to save memory.
        schedules: numbers that change with the images seen.
        clip_grad_norm: largest gradient norm of each side, or None.
        ema: arguments of `EMA`, or None for no averaged generator.
        channels_last: keep convolutions in the layout that is fastest on most devices.
        compiled: arguments of `torch.compile` for the networks, or None to run them eagerly.
        metadata: plain data (config, versions) to store in checkpoints.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        regularizers: Mapping[str, Regularizer | GeneratorRegularizer] | None = None,
        *,
        generator_optimizer: OptimizerFactory = adam,
        discriminator_optimizer: OptimizerFactory = adam,
        schedule: Schedule | None = None,
        horizon: Count | None = None,
        n_critic: int = 1,
        n_generator: Count = 1,
        unroll: Whole = 0,
        accumulate: Count = 1,
        schedules: Mapping[str, ScalarSchedule] | None = None,
        clip_grad_norm: float | None = None,
        ema: Mapping[str, Any] | None = DEFAULT_EMA,
        channels_last: bool = True,
        compiled: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        check_step_arguments(model, loss, regularizers or {}, n_critic, clip_grad_norm)
        check_accumulate(accumulate, model, loss, list((regularizers or {}).values()))
        if channels_last:
            model.to(memory_format=torch.channels_last)
        super().__init__(model, None if ema is None else EMA(model.generators, **ema))
        # Two optimizers, stepped by hand.
        self.automatic_optimization = False
        # Copies, as the state of each adversarial term is its own.
        self.losses, self.regularizers, self.generator_regularizers = copies_for_terms(
            model, loss, regularizers or {}
        )
        self.adversarial = AdversarialStep(
            model, self.losses, self.regularizers, self.generator_regularizers
        )
        self.optimizer_factories = {
            "discriminator": discriminator_optimizer,
            "generator": generator_optimizer,
        }
        self.rates = LearningRates(schedule, horizon)
        self.schedules = ScalarSchedules(schedules)
        self.n_critic = n_critic
        self.n_generator = n_generator
        self.unroll = unroll
        self.accumulate = accumulate
        self.clip_grad_norm = clip_grad_norm
        self.compiled = compiled
        self.metadata = metadata or {}
        self.clock = Clock()
        self.divergence_detector = DivergenceDetector()

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One batch: a discriminator step and, on every n_critic-th batch, generator steps."""
        batch = as_batch(batch, self, is_first=batch_idx == 0)
        step = self.global_step + 1
        train_generator = step % self.n_critic == 0
        batch.rng.seed_global_generators()
        self.rates.apply(self.trainer.optimizers, self.global_step, self.trainer.max_steps)
        self.schedules.apply(self, self.clock.images_seen)
        self.model.on_progress(self.clock.images_seen)

        # Generate once for both sides; with accumulation the generator step does so again.
        parts = batch.split(self.accumulate)
        reuse = train_generator and len(parts) == 1
        with torch.set_grad_enabled(reuse):
            fakes = [self.model.generate(part) for part in parts]

        # Discriminator step, then generator steps.
        terms, outputs = discriminator_step(self, parts, fakes, step, last=not train_generator)
        if train_generator:
            terms |= generator_steps(self, parts, fakes if reuse else None, step)

        # Count, average, log.
        images = batch.size * self.trainer.world_size
        self.clock.images_seen += images
        if train_generator and self.ema is not None:
            self.ema.update(self.model.generators, images * self.n_critic, self.clock.images_seen)
        if step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            log_step(self, terms, outputs)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each side that has any: ``discriminator``, then ``generator``."""
        return trained_parameters(self.model)

    def configure_optimizers(self) -> list[Optimizer]:
        """An optimizer for each side, in the order of `parameter_groups`."""
        return make_optimizers(self.parameter_groups(), self.optimizer_factories)

    def check(self, trainer: Trainer) -> None:
        """Raise `ValueError` if a schedule or an optimizer does not work with ``trainer``."""
        optimizers = dict(zip(self.parameter_groups(), self.configure_optimizers(), strict=True))
        self.schedules.check(self, optimizers)
        if self.unroll:
            check_unrolled(self.generator_regularizers)
            Unrolling(self.unroll, optimizers["discriminator"])
        if self.rates.schedule is not None and trainer.max_steps < 1:
            raise ValueError("optim.schedule needs an end of training: set trainer.max_steps")

    def setup(self, stage: str) -> None:
        """Let the model measure the data, before a checkpoint's measurements replace these."""
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and isinstance(data, DataModule):
            self.measure(data.source)

    def measure(self, source: Source) -> None:
        """Set what depends on the training data as a whole; `setup` calls it for a `DataModule`."""
        self.model.measure(unit_blocks(source))
        if self.ema is not None:
            self.ema.copy_buffers(self.model.generators)

    def on_fit_start(self) -> None:
        """Prepare what every step needs."""
        check_own_trainer(self.trainer, self)
        updaters = make_updaters(self)
        self.discriminator_updater = updaters.get("discriminator")
        self.generator_updater = updaters["generator"]
        self.unrolling = Unrolling(self.unroll, self.trainer.optimizers[0]) if self.unroll else None
        if self.compiled is not None:
            compile_networks(self.model, self.modules(), self.compiled, self.unroll > 0)
        self.clock.start()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counts, and where the run came from, as plain data."""
        checkpoint["gan_zoo"] = {
            "clock": self.clock.state_dict(),
            "lr_scale": self.rates.lr_scale,
            "horizon": self.rates.horizon or self.trainer.max_steps,
            **self.metadata,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts."""
        self.clock.load_state_dict(checkpoint["gan_zoo"]["clock"])
        self.rates.lr_scale = min(self.rates.lr_scale, checkpoint["gan_zoo"]["lr_scale"])
