"""The one LightningModule: two players, two optimizers, any game, any loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_zoo.core.distributed import average_gradients, mean_over_ranks
from gan_zoo.core.types import Batch, Count, Duel, Fakes, Terms, Verdict, prefixed, sum_of
from gan_zoo.loggers.dispatch import log
from gan_zoo.losses.base import Loss
from gan_zoo.models.base import Game
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.training.clock import Clock
from gan_zoo.training.compile import compile_networks
from gan_zoo.training.divergence import Watch, stop_if_not_finite
from gan_zoo.training.ema import EMA
from gan_zoo.training.joint_forward import judge_both, judges_apart
from gan_zoo.training.lr_schedules import Schedule
from gan_zoo.training.modes import at_rest, frozen
from gan_zoo.training.updater import Player, full_precision, gradient_norm

PLAYERS = ("discriminator", "generator")
OptimizerFactory = Callable[[Sequence[nn.Parameter]], Optimizer]
AVERAGED = MappingProxyType({"half_life": 10_000.0, "ramp_up": 0.05})


def adam(parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Adam as DCGAN has it: 2e-4 with betas (0.5, 0.999)."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), fused=True)


class GANModule(LightningModule):
    """Drives every `Game` with every `Loss`: the critic's turn on each batch, the generator's on each n_critic-th.

    A step is a batch, that is one critic step: only the critic's optimizer is stepped through Lightning, so
    ``global_step``, ``max_steps``, checkpoints and schedules count batches.

    Args:
        game: the networks and their duels.
        loss: what both players minimise; every duel gets its own copy.
        regularizers: penalties and projections of the critic by name; every duel gets its own copies.
        generator_optimizer, discriminator_optimizer: make an optimizer from a list of parameters; DCGAN's Adam if not
            given.
        schedule: factor on both learning rates as a function of progress, or None.
        horizon: steps over which progress goes from 0 to 1; None for those that the run is begun with, which a resumed
            run keeps however long it goes on.
        n_critic: critic steps for each generator step.
        clip_grad_norm: largest gradient norm of a player, or None.
        ema: arguments of `EMA`, or None for no averaged generator.
        channels_last: keep the weights of convolutions in the layout that is fastest on most devices.
        compiled: arguments of `torch.compile` for the networks, or None to run them as written.
        metadata: plain data (config, versions) that checkpoints carry along.
    """

    def __init__(
        self,
        game: Game,
        loss: Loss,
        regularizers: Mapping[str, Regularizer] | None = None,
        *,
        generator_optimizer: OptimizerFactory = adam,
        discriminator_optimizer: OptimizerFactory = adam,
        schedule: Schedule | None = None,
        horizon: Count | None = None,
        n_critic: int = 1,
        clip_grad_norm: float | None = None,
        ema: Mapping[str, float] | None = AVERAGED,
        channels_last: bool = True,
        compiled: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(n_critic, int) or n_critic < 1:
            raise ValueError(f"n_critic must be a whole number >= 1, got {n_critic!r}")
        if not len(game.discriminators) and (n_critic > 1 or regularizers):
            settings = f"n_critic={n_critic} and regularizers {list(regularizers or {})}"
            raise ValueError(f"{type(game).__name__} has no critic to train or regularise, got {settings}")
        if clip_grad_norm is not None and clip_grad_norm <= 0:
            raise ValueError(f"clip_grad_norm must be > 0 or null, got {clip_grad_norm}")
        self.automatic_optimization = False
        regularizers = regularizers or {}
        checked: list[Loss | Regularizer] = [loss, *regularizers.values()]
        for critic in game.discriminators.values():
            for part in checked:
                part.check(critic)
        if channels_last:
            game.to(memory_format=torch.channels_last)
        self.game = game
        self.losses = nn.ModuleDict({name: copy.deepcopy(loss) for name in game.duel_names})
        self.regularizers = nn.ModuleDict(
            {name: nn.ModuleDict({k: copy.deepcopy(r) for k, r in regularizers.items()}) for name in game.duel_names}
        )
        for name, regularizers_of_duel in self.regularizers.items():
            for regularizer in regularizers_of_duel.values():  # type: ignore[operator]
                regularizer.attach(self.losses[name])
        self.ema = None if ema is None else EMA(game.generators, **ema)
        self.optimizer_factories = discriminator_optimizer, generator_optimizer
        self.schedule = schedule
        self.horizon = horizon
        self.n_critic = n_critic
        self.clip_grad_norm = clip_grad_norm
        self.compiled = compiled
        apart = (critic for critic in game.discriminators.values() if judges_apart(critic))
        self.judging_apart = set(apart if compiled is None else ())  # another size would be compiled anew
        self.metadata = metadata or {}
        self.clock = Clock()
        self.watch = Watch()
        self.pace = 1.0  # factor on both learning rates, less than 1 after divergence

    # ---------------------------------------------------------------- the step

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch: the critics' turn and, on every n_critic-th step, the generators'."""
        step = self.global_step + 1
        train_generator = step % self.n_critic == 0
        batch.noise.seed_default()
        self.set_learning_rates()

        with torch.set_grad_enabled(train_generator):
            fakes = self.game.generate(batch)
        terms, verdicts = self.critics_turn(batch, fakes, step)
        if train_generator:
            terms |= self.generators_turn(batch, fakes, step)
        images = batch.size * self.trainer.world_size
        self.clock.tick(images, train_generator)
        if train_generator and self.ema is not None:
            self.ema.update(self.game.generators, images * self.n_critic, self.clock.images_seen)
        if step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.report(terms, verdicts)

    def critics_turn(self, batch: Batch, fakes: Fakes, step: int) -> tuple[Terms, list[Verdict]]:
        """One step of the critics on reals and detached fakes; nothing in a game without critics."""
        if self.critic is None:
            return {}, []
        shown = self.game.replay(batch, {name: fake.detach() for name, fake in fakes.items()})
        terms: Terms = {}
        verdicts: list[Verdict] = []
        for duel in self.game.duels(batch, shown):
            verdict, of_duel = self.judge_and_penalise(duel, batch, step, verdicts)
            verdicts.append(verdict)
            terms |= of_duel
        terms |= prefixed("d", self.game.discriminator_terms(batch, shown, verdicts))
        self.descend(self.critic, terms, step)
        self.after_critics_step(verdicts)
        return terms, verdicts

    def judge_and_penalise(
        self, duel: Duel, batch: Batch, step: int, earlier: Sequence[Verdict]
    ) -> tuple[Verdict, Terms]:
        """The critic's side of one duel; penalties, and other duels over the same reals, share its forward pass."""
        penalties = {name: r for name, r in self.regularizers_of(duel).items() if step % r.every == 0}
        asked = duel
        leaves = {
            "real": any(r.real_gradient for r in penalties.values()),
            "fake": any(r.fake_gradient for r in penalties.values()),
        }
        duel = duel.as_leaves(**leaves)
        same = next((verdict for verdict in earlier if verdict.judged_reals_of(asked)), None)
        if same is None or same.real is None:  # a gradient on one side would cost both sides in a pass they share
            real, fake = judge_both(duel, together=duel.critic in self.judging_apart and not any(leaves.values()))
        else:
            duel, real, fake = replace(duel, real=same.duel.real), same.real, duel.judge_fake()
        weight = duel.critic_weight
        with full_precision(duel.real.device):
            terms = {f"d/{duel.name}": weight * self.loss_of(duel).discriminator(real, fake)}
        for name, regularizer in penalties.items():
            penalty = regularizer.penalty(duel, real, fake, batch.noise)
            if penalty is not None:
                terms[f"d/{duel.name}/{name}"] = weight * regularizer.every * penalty
        return Verdict(duel, real, fake, asked), terms

    @torch.no_grad()
    def after_critics_step(self, verdicts: Sequence[Verdict]) -> None:
        """States of losses and regularizers move; projections are applied."""
        for number, verdict in enumerate(verdicts):
            assert verdict.real is not None
            self.loss_of(verdict.duel).update(verdict.real, verdict.fake)
            counted = any(earlier.real is verdict.real for earlier in verdicts[:number])
            for regularizer in self.regularizers_of(verdict.duel).values():
                if not (counted and regularizer.counts_reals):
                    regularizer.update(verdict.duel, verdict.real, verdict.fake)
                regularizer.project(verdict.duel.critic)

    def generators_turn(self, batch: Batch, fakes: Fakes, step: int) -> Terms:
        """One step of the generators against critics whose weights cost nothing: they are frozen."""
        terms: Terms = {}
        verdicts: list[Verdict] = []
        with frozen(self.game.discriminators):
            for duel in self.game.duels(batch, fakes):
                if not (duel.trains_generator or self.game.generator_sees_real):
                    continue
                loss = self.loss_of(duel)
                fake = duel.judge_fake()
                real = None
                if loss.generator_sees_real or self.game.generator_sees_real:
                    same = next((verdict for verdict in verdicts if verdict.judged_reals_of(duel)), None)
                    real = duel.judge_real() if same is None else same.real
                verdicts.append(Verdict(duel, real, fake))
                if duel.trains_generator:
                    with full_precision(duel.real.device):
                        terms[f"g/{duel.name}"] = duel.generator_weight * loss.generator(fake, real)
            terms |= prefixed("g", self.game.generator_terms(batch, fakes, verdicts))
            self.descend(self.generator, terms, step)
        return terms

    def descend(self, player: Player, terms: Terms, step: int) -> None:
        """Minimise the sum of ``terms`` by one step of ``player``, unless that would leave the finite numbers."""
        for parameter in player.parameters:
            parameter.grad = None
        total = sum_of(terms)
        self.manual_backward(total)
        last = player is self.generator or step % self.n_critic != 0  # of the step: only now do the statistics rest
        average_gradients(player.parameters, self.running_statistics if last else ())
        self.watch.observe(player, terms, total, step)
        if self.clip_grad_norm is not None:
            player.gradient_norm = gradient_norm(player.parameters)
            nn.utils.clip_grads_with_norm_(player.parameters, self.clip_grad_norm, player.gradient_norm)
        player.step()

    def loss_of(self, duel: Duel) -> Loss:
        """The duel's own copy of the loss."""
        return self.losses[duel.name]  # type: ignore[return-value]

    def regularizers_of(self, duel: Duel) -> Mapping[str, Regularizer]:
        """The duel's own copies of the regularizers, by name."""
        return self.regularizers[duel.name]._modules  # type: ignore[return-value]

    # ------------------------------------------------------------- what is read

    @torch.no_grad()
    def report(self, terms: Terms, verdicts: Sequence[Verdict]) -> None:
        """Log the terms and what a researcher reads beside them; stop if anything is not finite.

        Called on every ``log_every_n_steps``-th step only: it is the one place where the host waits for the device.
        """
        self.watch.look()
        values = dict(terms)
        for verdict in verdicts:
            values |= prefixed(f"d/{verdict.duel.name}", self.readings(verdict))
        if self.critic is not None:
            values["d/grad_norm"] = self.norm_of(self.critic)
        values["g/grad_norm"] = self.norm_of(self.generator)
        stacked = mean_over_ranks(torch.stack([value.detach().float() for value in values.values()]))
        numbers = dict(zip(values, stacked.tolist(), strict=True))
        stop_if_not_finite(numbers, self.global_step)
        if totals := [number for name, number in numbers.items() if name.endswith("/total")]:
            numbers["train/total"] = sum(totals)
        log(self.trainer, numbers | self.learning_rates() | self.clock.report(), self.global_step)

    def norm_of(self, player: Player) -> Tensor:
        """The norm of the player's last gradient, before clipping."""
        return gradient_norm(player.parameters) if self.clip_grad_norm is None else player.gradient_norm

    def readings(self, verdict: Verdict) -> Terms:
        """The critic's accuracy on both sides, and what its loss and its regularizers have to say."""
        assert verdict.real is not None
        loss = self.loss_of(verdict.duel)
        on_real, on_fake = loss.accuracy(verdict.real, verdict.fake)
        values = {"accuracy_real": on_real, "accuracy_fake": on_fake} | loss.readings(verdict.real, verdict.fake)
        for name, regularizer in self.regularizers_of(verdict.duel).items():
            values |= prefixed(name, regularizer.readings(verdict.duel))
        return values

    # ------------------------------------------------------------ around the step

    def configure_optimizers(self) -> list[Optimizer]:
        """The critics' optimizer, if there are critics, and the generators', in this order."""
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
        """The parameters of the critics and of the generators."""
        return list(self.game.discriminators.parameters()), list(self.game.generators.parameters())

    def check(self, trainer: Trainer) -> None:
        """Raise `ValueError` if ``trainer`` lacks what the schedule needs, or an optimizer cannot be made."""
        self.configure_optimizers()
        if self.schedule is not None and trainer.max_steps < 1:
            raise ValueError("optim.schedule needs to know when training ends: set trainer.max_steps")

    def on_fit_start(self) -> None:
        """Look up once what every step needs."""
        *critics, generator = self.trainer.optimizers
        critic_parameters, generator_parameters = self.players()
        # Lightning counts the steps of optimizers that are stepped through it, which must be one for each batch.
        counted: Any = self.optimizers()
        step_counted = (counted[0] if critics else counted).step
        self.critic = Player("critics", critic_parameters, critics[0], step_counted) if critics else None
        step_generator = generator.step if critics else step_counted
        self.generator = Player("generators", generator_parameters, generator, step_generator)
        statistics = ("running_mean", "running_var")
        self.running_statistics = [b for name, b in self.game.named_buffers() if name.endswith(statistics)]
        if self.compiled is not None:
            regularizers = [r for r in self.regularizers.modules() if isinstance(r, Regularizer)]
            compile_networks(self.game, regularizers, self.compiled)
        self.clock.start()

    def learning_rates(self) -> dict[str, float]:
        """Both players' learning rates at this step, for the log."""
        names = PLAYERS if self.critic is not None else PLAYERS[1:]
        optimizers = zip(names, self.trainer.optimizers, strict=True)
        return {f"lr/{name}": float(optimizer.param_groups[0]["lr"]) for name, optimizer in optimizers}

    def check_horizon(self, saved: int | None, max_steps: int) -> None:
        """Keep the horizon that a run was begun with, and say so where it now goes on for longer.

        Args:
            saved: the horizon in the checkpoint; None in those of old.
            max_steps: of the run that goes on.

        Raises:
            ValueError: if the schedule would leave nothing to learn with beyond its horizon.
        """
        if self.schedule is None or self.horizon is not None or saved is None:
            return
        self.horizon = saved
        if max_steps <= saved:
            return
        stretched = self.schedule(saved / max_steps)
        stays = f"the learning rates' schedule ends at step {saved:,}"
        remedy = f"optim.horizon={max_steps} stretches it, to {stretched:g} of the first rates at step {saved:,}"
        if self.schedule(1.0) == 0:
            raise ValueError(f"{stays} with rates of 0, so trainer.max_steps={max_steps} would learn nothing: {remedy}")
        print(f"{stays} and they stay at {self.schedule(1.0):g} of the first from there; {remedy}", flush=True)

    def set_learning_rates(self) -> None:
        """Both players' learning rates at this step: a pure function of progress and of what divergence took off."""
        if self.schedule is None and self.pace == 1:
            return
        factor = self.pace
        if self.schedule is not None:
            factor *= self.schedule(min(1.0, self.global_step / (self.horizon or self.trainer.max_steps)))
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is counted, and where the run came from, as plain data."""
        horizon = self.horizon or self.trainer.max_steps
        counted = {"clock": self.clock.state_dict(), "pace": self.pace, "horizon": horizon}
        checkpoint["gan_zoo"] = counted | self.metadata

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what is counted."""
        self.clock.load_state_dict(checkpoint["gan_zoo"]["clock"])
        self.pace = min(self.pace, checkpoint["gan_zoo"]["pace"])

    # ----------------------------------------------------------------- sampling

    @property
    def sampling_generators(self) -> nn.ModuleDict:
        """The generators that draw pictures and earn scores: the averaged ones if there are any."""
        return self.game.generators if self.ema is None else self.ema.generators

    def sample(self, batch: Batch) -> Tensor:
        """Samples for ``batch`` in evaluation mode, float32; training state is as before."""
        with self.shown() as generators:
            return self.game.sample(batch.to(self.device), generators).float()

    def views(self, batch: Batch) -> dict[str, Tensor]:
        """What a viewer sees side by side for ``batch``: the sample alone, or input, output and more."""
        with self.shown() as generators:
            return {k: v.float() for k, v in self.game.views(batch.to(self.device), generators).items()}

    @contextmanager
    def shown(self) -> Iterator[nn.ModuleDict]:
        """The generators to sample from, in evaluation mode, without gradients and in full precision."""
        generators = self.sampling_generators
        with at_rest(generators, self.device):
            yield generators
