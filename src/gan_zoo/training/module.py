"""The one LightningModule: two players, two optimizers, any model, any loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import Batch, Count, LossTerms, TermOutputs
from gan_zoo.loggers.dispatch import log
from gan_zoo.losses.base import Loss
from gan_zoo.models.base import Model
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.training.adversarial_step import AdversarialStep
from gan_zoo.training.clock import Clock
from gan_zoo.training.compile import compile_networks
from gan_zoo.training.divergence import DivergenceDetector, raise_if_not_finite
from gan_zoo.training.ema import EMA
from gan_zoo.training.lr_schedules import LearningRates, Schedule
from gan_zoo.training.modes import evaluation_mode, frozen
from gan_zoo.training.player import Player
from gan_zoo.training.updater import Updater

PLAYERS = ("discriminator", "generator")
OptimizerFactory = Callable[[Sequence[nn.Parameter]], Optimizer]
DEFAULT_EMA = MappingProxyType({"half_life": 10_000.0, "ramp_up": 0.05})


def adam(parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Adam as DCGAN has it: 2e-4 with betas (0.5, 0.999)."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), fused=True)


class GANModule(LightningModule):
    """Trains every `Model` with every `Loss`: the discriminator on each batch, the generator on each n_critic-th.

    A step is a batch, that is one discriminator step: only the discriminator's optimizer is stepped through Lightning,
    so ``global_step``, ``max_steps``, checkpoints and schedules count batches.

    Args:
        model: the networks and their terms.
        loss: what both players minimize; every term gets its own copy.
        regularizers: penalties and projections of the discriminator by name; every term gets its own copies.
        generator_optimizer, discriminator_optimizer: make an optimizer from a list of parameters; DCGAN's Adam if not
            given.
        schedule: factor on both learning rates as a function of progress, or None.
        horizon: steps over which progress goes from 0 to 1; None for those that the run is begun with, which a resumed
            run keeps however long it goes on.
        n_critic: discriminator steps for each generator step.
        clip_grad_norm: largest gradient norm of a player, or None.
        ema: arguments of `EMA`, or None for no averaged generator.
        channels_last: keep the weights of convolutions in the layout that is fastest on most devices.
        compiled: arguments of `torch.compile` for the networks, or None to run them as written.
        metadata: plain data (config, versions) that checkpoints carry along.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        regularizers: Mapping[str, Regularizer] | None = None,
        *,
        generator_optimizer: OptimizerFactory = adam,
        discriminator_optimizer: OptimizerFactory = adam,
        schedule: Schedule | None = None,
        horizon: Count | None = None,
        n_critic: int = 1,
        clip_grad_norm: float | None = None,
        ema: Mapping[str, float] | None = DEFAULT_EMA,
        channels_last: bool = True,
        compiled: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(n_critic, int) or n_critic < 1:
            raise ValueError(f"n_critic must be a whole number >= 1, got {n_critic!r}")
        if not len(model.discriminators) and (n_critic > 1 or regularizers):
            settings = f"n_critic={n_critic} and regularizers {list(regularizers or {})}"
            raise ValueError(f"{type(model).__name__} has no discriminator to train or regularize, got {settings}")
        if clip_grad_norm is not None and clip_grad_norm <= 0:
            raise ValueError(f"clip_grad_norm must be > 0 or null, got {clip_grad_norm}")
        self.automatic_optimization = False
        regularizers = regularizers or {}
        checked: list[Loss | Regularizer] = [loss, *regularizers.values()]
        for discriminator in model.discriminators.values():
            for part in checked:
                part.check(discriminator)
        if channels_last:
            model.to(memory_format=torch.channels_last)
        self.model = model
        self.losses = nn.ModuleDict({name: copy.deepcopy(loss) for name in model.term_names})
        self.regularizers = nn.ModuleDict(
            {name: nn.ModuleDict({k: copy.deepcopy(r) for k, r in regularizers.items()}) for name in model.term_names}
        )
        for name, regularizers_of_term in self.regularizers.items():
            for regularizer in regularizers_of_term.values():  # type: ignore[operator]
                regularizer.attach(self.losses[name])
        self.ema = None if ema is None else EMA(model.generators, **ema)
        self.adversarial = AdversarialStep(model, self.losses, self.regularizers)
        self.optimizer_factories = discriminator_optimizer, generator_optimizer
        self.rates = LearningRates(schedule, horizon)
        self.n_critic = n_critic
        self.clip_grad_norm = clip_grad_norm
        self.compiled = compiled
        self.metadata = metadata or {}
        self.clock = Clock()
        self.watch = DivergenceDetector()

    # ---------------------------------------------------------------- the step

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch: the discriminators' turn and, on every n_critic-th step, the generators'."""
        step = self.global_step + 1
        train_generator = step % self.n_critic == 0
        batch.rng.seed_global_generators()
        self.rates.apply(self.trainer.optimizers, self.global_step, self.trainer.max_steps)

        # Generate once for both players.
        with torch.set_grad_enabled(train_generator):
            fakes = self.model.generate(batch)

        # The discriminators' turn: reals against detached fakes.
        terms: LossTerms = {}
        outputs: list[TermOutputs] = []
        if self.discriminator is not None:
            terms, outputs = self.adversarial.discriminator_terms(batch, fakes, step)
            self.updater.step(self.discriminator, terms, step, last=not train_generator)
            self.adversarial.update(outputs)

        # The generators' turn, against discriminators whose weights cost nothing: they are frozen.
        if train_generator:
            with frozen(self.model.discriminators):
                generator_terms = self.adversarial.generator_terms(batch, fakes)
                self.updater.step(self.generator, generator_terms, step, last=True)
            terms |= generator_terms

        # Count, average, log.
        images = batch.size * self.trainer.world_size
        self.clock.tick(images, train_generator)
        if train_generator and self.ema is not None:
            self.ema.update(self.model.generators, images * self.n_critic, self.clock.images_seen)
        if step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.report(terms, outputs)

    # ------------------------------------------------------------- what is read

    @torch.no_grad()
    def report(self, terms: LossTerms, outputs: Sequence[TermOutputs]) -> None:
        """Log the terms and what a researcher reads beside them; stop if anything is not finite.

        Called on every ``log_every_n_steps``-th step only: it is the one place where the host waits for the device.
        """
        self.watch.look()
        values = terms | self.adversarial.log_values(outputs)
        if self.discriminator is not None:
            values["d/grad_norm"] = self.updater.gradient_norm(self.discriminator)
        values["g/grad_norm"] = self.updater.gradient_norm(self.generator)
        stacked = mean_over_ranks(torch.stack([value.detach().float() for value in values.values()]))
        numbers = dict(zip(values, stacked.tolist(), strict=True))
        raise_if_not_finite(numbers, self.global_step)
        if totals := [number for name, number in numbers.items() if name.endswith("/total")]:
            numbers["train/total"] = sum(totals)
        names = PLAYERS if self.discriminator is not None else PLAYERS[1:]
        for name, optimizer in zip(names, self.trainer.optimizers, strict=True):
            numbers[f"lr/{name}"] = float(optimizer.param_groups[0]["lr"])
        log(self.trainer, numbers | self.clock.report(), self.global_step)

    # ------------------------------------------------------------ around the step

    def configure_optimizers(self) -> list[Optimizer]:
        """The discriminators' optimizer, if there are discriminators, and the generators', in this order."""
        optimizers = []
        for name, make, parameters in zip(PLAYERS, self.optimizer_factories, self.players(), strict=True):
            try:
                optimizers += [make(parameters)] if parameters else []
            except ValueError as error:
                raise ValueError(f"optim.{name}: {error}") from error
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
        return optimizers

    def players(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The parameters of the discriminators and of the generators."""
        return list(self.model.discriminators.parameters()), list(self.model.generators.parameters())

    def check(self, trainer: Trainer) -> None:
        """Raise `ValueError` if ``trainer`` lacks what the schedule needs, or an optimizer cannot be made."""
        self.configure_optimizers()
        if self.rates.schedule is not None and trainer.max_steps < 1:
            raise ValueError("optim.schedule needs to know when training ends: set trainer.max_steps")

    def on_fit_start(self) -> None:
        """Look up once what every step needs."""
        *discriminators, generator = self.trainer.optimizers
        discriminator_parameters, generator_parameters = self.players()
        # Lightning counts the steps of optimizers that are stepped through it, which must be one for each batch.
        counted: Any = self.optimizers()
        step_counted = (counted[0] if discriminators else counted).step
        self.discriminator = (
            Player("discriminators", discriminator_parameters, discriminators[0], step_counted)
            if discriminators
            else None
        )
        step_generator = generator.step if discriminators else step_counted
        self.generator = Player("generators", generator_parameters, generator, step_generator)
        statistics = ("running_mean", "running_var")
        running = [buffer for name, buffer in self.model.named_buffers() if name.endswith(statistics)]
        self.updater = Updater(self.manual_backward, running, self.watch, self.clip_grad_norm)
        if self.compiled is not None:
            regularizers = [r for r in self.regularizers.modules() if isinstance(r, Regularizer)]
            compile_networks(self.model, regularizers, self.compiled)
        self.clock.start()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is counted, and where the run came from, as plain data."""
        horizon = self.rates.horizon or self.trainer.max_steps
        counted = {"clock": self.clock.state_dict(), "pace": self.rates.pace, "horizon": horizon}
        checkpoint["gan_zoo"] = counted | self.metadata

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what is counted."""
        self.clock.load_state_dict(checkpoint["gan_zoo"]["clock"])
        self.rates.pace = min(self.rates.pace, checkpoint["gan_zoo"]["pace"])

    # ----------------------------------------------------------------- sampling

    @property
    def sampling_generators(self) -> nn.ModuleDict:
        """The generators that draw pictures and earn scores: the averaged ones if there are any."""
        return self.model.generators if self.ema is None else self.ema.generators

    def sample(self, batch: Batch) -> Tensor:
        """Samples for ``batch`` in evaluation mode, float32; training state is as before."""
        with self.shown() as generators:
            return self.model.sample(batch.to(self.device), generators).float()

    def views(self, batch: Batch) -> dict[str, Tensor]:
        """What a viewer sees side by side for ``batch``: the sample alone, or input, output and more."""
        with self.shown() as generators:
            return {k: v.float() for k, v in self.model.views(batch.to(self.device), generators).items()}

    @contextmanager
    def shown(self) -> Iterator[nn.ModuleDict]:
        """The generators to sample from, in evaluation mode, without gradients and in full precision."""
        generators = self.sampling_generators
        with evaluation_mode(generators, self.device):
            yield generators
