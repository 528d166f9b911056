"""The adversarial terms of both players on one batch: no optimizer, no backward pass, no Lightning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    DiscriminatorOutput,
    FakeSamples,
    LossTerms,
    TermOutputs,
    with_prefix,
)
from gan_zoo.losses.base import Loss
from gan_zoo.models.base import Model
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.training.player import full_precision


class AdversarialStep:
    """Evaluates the discriminators where a model pairs reals with fakes, and computes what both players minimize.

    Pairings over the same reals, and the penalties on them, share one forward pass of the discriminator.

    Args:
        model: the model: its networks, its pairings and its own terms.
        losses: a loss for each pairing, by its name.
        regularizers: the regularizers of each pairing, by its name and by theirs.
    """

    def __init__(self, model: Model, losses: nn.ModuleDict, regularizers: nn.ModuleDict) -> None:
        self.model = model
        self.losses = losses
        self.regularizers = regularizers

    def discriminator_terms(self, batch: Batch, fakes: FakeSamples, step: int) -> tuple[LossTerms, list[TermOutputs]]:
        """What the discriminators minimize on reals and detached fakes, and how they scored them.

        Args:
            batch: real samples and their conditions.
            fakes: of the generators, by name.
            step: the number of the batch: regularizers that are applied lazily look at it.
        """
        shown = self.model.replay(batch, {name: fake.detach() for name, fake in fakes.items()})
        terms: LossTerms = {}
        outputs: list[TermOutputs] = []
        for term in self.model.adversarial_terms(batch, shown):
            penalties = {name: r for name, r in self.regularizers_of(term).items() if step % r.every == 0}
            output = _evaluated(term, penalties, outputs)
            outputs.append(output)

            # The loss, in full precision, and the penalties on top of it.
            with full_precision(output.term.real.device):
                loss = self.loss_of(term).discriminator(_real(output), output.fake)
                terms[f"d/{term.name}"] = term.discriminator_weight * loss
            for name, regularizer in penalties.items():
                penalty = regularizer.penalty(output.term, _real(output), output.fake, batch.rng)
                if penalty is not None:
                    terms[f"d/{term.name}/{name}"] = term.discriminator_weight * regularizer.every * penalty
        terms |= with_prefix("d", self.model.discriminator_terms(batch, shown, outputs))
        return terms, outputs

    def generator_terms(self, batch: Batch, fakes: FakeSamples) -> LossTerms:
        """What the generators minimize against discriminators whose weights should be frozen meanwhile."""
        terms: LossTerms = {}
        outputs: list[TermOutputs] = []
        for term in self.model.adversarial_terms(batch, fakes):
            if not (term.trains_generator or self.model.generator_sees_real):
                continue
            loss = self.loss_of(term)
            fake = term.discriminate_fake()

            # Reals are evaluated only where a loss or the model looks at them, and once.
            real = None
            if loss.generator_sees_real or self.model.generator_sees_real:
                same = next((output for output in outputs if output.shares_reals_with(term)), None)
                real = term.discriminate_real() if same is None else same.real
            outputs.append(TermOutputs(term, real, fake))

            if term.trains_generator:
                with full_precision(term.real.device):
                    terms[f"g/{term.name}"] = term.generator_weight * loss.generator(fake, real)
        return terms | with_prefix("g", self.model.generator_terms(batch, fakes, outputs))

    @torch.no_grad()
    def update(self, outputs: Sequence[TermOutputs]) -> None:
        """Move the states of losses and regularizers after the discriminators' step, and apply projections."""
        for number, output in enumerate(outputs):
            self.loss_of(output.term).update(_real(output), output.fake)
            counted = any(earlier.real is output.real for earlier in outputs[:number])
            for regularizer in self.regularizers_of(output.term).values():
                if not (counted and regularizer.counts_reals):
                    regularizer.update(output.term, _real(output), output.fake)
                regularizer.project(output.term.discriminator)

    def log_values(self, outputs: Sequence[TermOutputs]) -> LossTerms:
        """The discriminators' accuracy on both sides, and what losses and regularizers log of their own."""
        values: LossTerms = {}
        for output in outputs:
            loss = self.loss_of(output.term)
            on_real, on_fake = loss.accuracy(_real(output), output.fake)
            found = {"accuracy_real": on_real, "accuracy_fake": on_fake}
            found |= loss.readings(_real(output), output.fake)
            for name, regularizer in self.regularizers_of(output.term).items():
                found |= with_prefix(name, regularizer.readings(output.term))
            values |= with_prefix(f"d/{output.term.name}", found)
        return values

    def loss_of(self, term: AdversarialTerm) -> Loss:
        """The pairing's own copy of the loss."""
        return self.losses[term.name]  # type: ignore[return-value]

    def regularizers_of(self, term: AdversarialTerm) -> Mapping[str, Regularizer]:
        """The pairing's own copies of the regularizers, by name."""
        return self.regularizers[term.name]._modules  # type: ignore[return-value]


def _evaluated(
    term: AdversarialTerm, penalties: Mapping[str, Regularizer], earlier: Sequence[TermOutputs]
) -> TermOutputs:
    """``term`` with its samples scored; they require grad where a penalty differentiates with respect to them."""
    needs_real_gradient = any(r.real_gradient for r in penalties.values())
    needs_fake_gradient = any(r.fake_gradient for r in penalties.values())
    prepared = term.with_input_gradients(real=needs_real_gradient, fake=needs_fake_gradient)

    # Reals that were scored for an earlier pairing are not scored again.
    same = next((output for output in earlier if output.shares_reals_with(term)), None)
    if same is None:
        real = prepared.discriminate_real()
    else:
        real = _real(same)
        prepared = replace(prepared, real=same.term.real)
    return TermOutputs(prepared, real, prepared.discriminate_fake(), term)


def _real(output: TermOutputs) -> DiscriminatorOutput:
    """How the reals were scored, in the discriminators' turn, where they always are."""
    assert output.real is not None
    return output.real
