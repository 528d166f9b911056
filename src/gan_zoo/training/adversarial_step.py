"""The adversarial terms of both players on one batch: no optimizer, no backward pass, no Lightning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from gan_zoo.core.types import Batch, Critique, Duel, Fakes, Terms, Verdict, prefixed
from gan_zoo.losses.base import Loss
from gan_zoo.models.base import Game
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.training.player import full_precision


class AdversarialStep:
    """Evaluates the discriminators where a model pairs reals with fakes, and computes what both players minimize.

    Pairings over the same reals, and the penalties on them, share one forward pass of the discriminator.

    Args:
        game: the model: its networks, its pairings and its own terms.
        losses: a loss for each pairing, by its name.
        regularizers: the regularizers of each pairing, by its name and by theirs.
    """

    def __init__(self, game: Game, losses: nn.ModuleDict, regularizers: nn.ModuleDict) -> None:
        self.game = game
        self.losses = losses
        self.regularizers = regularizers

    def discriminator_terms(self, batch: Batch, fakes: Fakes, step: int) -> tuple[Terms, list[Verdict]]:
        """What the discriminators minimize on reals and detached fakes, and how they scored them.

        Args:
            batch: real samples and their conditions.
            fakes: of the generators, by name.
            step: the number of the batch: regularizers that are applied lazily look at it.
        """
        shown = self.game.replay(batch, {name: fake.detach() for name, fake in fakes.items()})
        terms: Terms = {}
        verdicts: list[Verdict] = []
        for duel in self.game.duels(batch, shown):
            penalties = {name: r for name, r in self.regularizers_of(duel).items() if step % r.every == 0}
            verdict = _evaluated(duel, penalties, verdicts)
            verdicts.append(verdict)

            # The loss, in full precision, and the penalties on top of it.
            with full_precision(verdict.duel.real.device):
                loss = self.loss_of(duel).discriminator(_real(verdict), verdict.fake)
                terms[f"d/{duel.name}"] = duel.critic_weight * loss
            for name, regularizer in penalties.items():
                penalty = regularizer.penalty(verdict.duel, _real(verdict), verdict.fake, batch.noise)
                if penalty is not None:
                    terms[f"d/{duel.name}/{name}"] = duel.critic_weight * regularizer.every * penalty
        terms |= prefixed("d", self.game.discriminator_terms(batch, shown, verdicts))
        return terms, verdicts

    def generator_terms(self, batch: Batch, fakes: Fakes) -> Terms:
        """What the generators minimize against discriminators whose weights should be frozen meanwhile."""
        terms: Terms = {}
        verdicts: list[Verdict] = []
        for duel in self.game.duels(batch, fakes):
            if not (duel.trains_generator or self.game.generator_sees_real):
                continue
            loss = self.loss_of(duel)
            fake = duel.judge_fake()

            # Reals are evaluated only where a loss or the model looks at them, and once.
            real = None
            if loss.generator_sees_real or self.game.generator_sees_real:
                same = next((verdict for verdict in verdicts if verdict.judged_reals_of(duel)), None)
                real = duel.judge_real() if same is None else same.real
            verdicts.append(Verdict(duel, real, fake))

            if duel.trains_generator:
                with full_precision(duel.real.device):
                    terms[f"g/{duel.name}"] = duel.generator_weight * loss.generator(fake, real)
        return terms | prefixed("g", self.game.generator_terms(batch, fakes, verdicts))

    @torch.no_grad()
    def update(self, verdicts: Sequence[Verdict]) -> None:
        """Move the states of losses and regularizers after the discriminators' step, and apply projections."""
        for number, verdict in enumerate(verdicts):
            self.loss_of(verdict.duel).update(_real(verdict), verdict.fake)
            counted = any(earlier.real is verdict.real for earlier in verdicts[:number])
            for regularizer in self.regularizers_of(verdict.duel).values():
                if not (counted and regularizer.counts_reals):
                    regularizer.update(verdict.duel, _real(verdict), verdict.fake)
                regularizer.project(verdict.duel.critic)

    def log_values(self, verdicts: Sequence[Verdict]) -> Terms:
        """The discriminators' accuracy on both sides, and what losses and regularizers log of their own."""
        values: Terms = {}
        for verdict in verdicts:
            loss = self.loss_of(verdict.duel)
            on_real, on_fake = loss.accuracy(_real(verdict), verdict.fake)
            found = {"accuracy_real": on_real, "accuracy_fake": on_fake}
            found |= loss.readings(_real(verdict), verdict.fake)
            for name, regularizer in self.regularizers_of(verdict.duel).items():
                found |= prefixed(name, regularizer.readings(verdict.duel))
            values |= prefixed(f"d/{verdict.duel.name}", found)
        return values

    def loss_of(self, duel: Duel) -> Loss:
        """The pairing's own copy of the loss."""
        return self.losses[duel.name]  # type: ignore[return-value]

    def regularizers_of(self, duel: Duel) -> Mapping[str, Regularizer]:
        """The pairing's own copies of the regularizers, by name."""
        return self.regularizers[duel.name]._modules  # type: ignore[return-value]


def _evaluated(duel: Duel, penalties: Mapping[str, Regularizer], earlier: Sequence[Verdict]) -> Verdict:
    """``duel`` with its samples scored; they require grad where a penalty differentiates with respect to them."""
    needs_real_gradient = any(r.real_gradient for r in penalties.values())
    needs_fake_gradient = any(r.fake_gradient for r in penalties.values())
    prepared = duel.as_leaves(real=needs_real_gradient, fake=needs_fake_gradient)

    # Reals that were scored for an earlier pairing are not scored again.
    same = next((verdict for verdict in earlier if verdict.judged_reals_of(duel)), None)
    if same is None:
        real = prepared.judge_real()
    else:
        real = _real(same)
        prepared = replace(prepared, real=same.duel.real)
    return Verdict(prepared, real, prepared.judge_fake(), duel)


def _real(verdict: Verdict) -> Critique:
    """How the reals were scored, in the discriminators' turn, where they always are."""
    assert verdict.real is not None
    return verdict.real
