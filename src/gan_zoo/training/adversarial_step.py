"""The adversarial terms of both sides on one batch: no optimizer, no backward pass, no
Lightning.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gan_zoo.augmentation.base import augmentations
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
from gan_zoo.regularizers.base import GeneratorLoss, GeneratorRegularizer, Regularizer
from gan_zoo.training.modes import full_precision

Unroll = Callable[[Sequence[AdversarialTerm], "AdversarialStep"], Sequence[AdversarialTerm]]


class AdversarialStep:
    """Evaluates the discriminators on the model's adversarial terms, and computes what both sides
    minimize.

    Terms over the same reals, and the penalties on them, share one forward pass of the
    discriminator.

    Args:
        model: the networks, the adversarial terms and the model's own loss terms.
        losses: a loss for each adversarial term, by name.
        regularizers: the regularizers of each adversarial term, by name of the term and of the
            regularizer.
        generator_regularizers: the regularizers of the generators, by name.
    """

    def __init__(
        self,
        model: Model,
        losses: nn.ModuleDict,
        regularizers: nn.ModuleDict,
        generator_regularizers: nn.ModuleDict,
    ) -> None:
        self.model = model
        self.losses = losses
        self.regularizers = regularizers
        self.generator_regularizers = generator_regularizers

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, step: int
    ) -> tuple[LossTerms, list[TermOutputs]]:
        """What the discriminators minimize on reals and detached fakes, and their outputs for both.

        Args:
            batch: real samples and their conditions.
            fakes: outputs of the generators, by name.
            step: the number of the batch, which decides whether a lazy regularizer is applied.
        """
        detached = {name: fake.detach() for name, fake in fakes.items()}
        detached = self.model.replay(batch, detached)
        terms: LossTerms = {}
        outputs: list[TermOutputs] = []
        for named in self.model.adversarial_terms(batch, detached):
            # Regularizers may change what the discriminator is given, before it is evaluated.
            regularizers = self.regularizers_for(named)
            term = named
            for regularizer in regularizers.values():
                term = regularizer.prepare(term, batch.rng)
            penalties = {name: r for name, r in regularizers.items() if step % r.every == 0}
            output = _evaluated(term, penalties, outputs)
            outputs.append(output)

            # The loss, in full precision, and the penalties on top of it.
            with full_precision(output.term.real.device):
                loss = over_parts(self.loss_for(term).discriminator, _real(output), output.fake)
                terms[f"d/{term.name}"] = weighted(term.discriminator_weight, loss)
            for name, regularizer in penalties.items():
                penalty = regularizer.penalty(output.term, _real(output), output.fake, batch.rng)
                if penalty is not None:
                    weight = term.discriminator_weight * regularizer.every
                    terms[f"d/{term.name}/{name}"] = weighted(weight, penalty)

        # Terms of the model, and of regularizers that involve the generator.
        terms |= with_prefix("d", self.model.discriminator_terms(batch, detached, outputs))
        for name, generator_regularizer in self._generator_regularizers(step):
            penalty = generator_regularizer.discriminator_penalty(self.model, batch, detached)
            if penalty is not None:
                terms[f"d/{name}"] = weighted(generator_regularizer.every, penalty)
        return terms, outputs

    def generator_terms(
        self,
        batch: Batch,
        fakes: FakeSamples,
        generator_step: int = 1,
        unroll: Unroll | None = None,
    ) -> LossTerms:
        """What the generators minimize; the weights of the discriminators should be frozen
        meanwhile.

        Args:
            batch: real samples and their conditions.
            fakes: outputs of the generators, by name.
            generator_step: its number, which decides whether a lazy regularizer is applied.
            unroll: replaces the discriminators of the terms by updated ones, see `Unrolling`; the
                generators then minimize the negative of what those minimize.
        """
        terms: LossTerms = {}
        outputs: list[TermOutputs] = []
        adversarial = self.model.adversarial_terms(batch, fakes)
        for term in adversarial if unroll is None else unroll(adversarial, self):
            if not (term.trains_generator or self.model.generator_sees_real):
                continue
            loss = self.loss_for(term)
            fake = term.discriminate_fake()

            # Reals are evaluated only if the loss or the model uses them, and only once.
            real = None
            sees_real = loss.generator_sees_real or self.model.generator_sees_real
            if sees_real or term.swapped or unroll is not None:
                same = next((output for output in outputs if output.shares_reals_with(term)), None)
                real = term.discriminate_real() if same is None else same.real
            outputs.append(TermOutputs(term, real, fake))
            if not term.trains_generator:
                continue

            with full_precision(term.real.device):
                value = self._generator_value(outputs[-1], unrolled=unroll is not None)
                terms[f"g/{term.name}"] = weighted(term.generator_weight, value)

        # Terms of the model, and the regularizers of the generators that are due.
        terms |= with_prefix("g", self.model.generator_terms(batch, fakes, outputs))
        for name, regularizer in self._generator_regularizers(generator_step):
            penalty = regularizer.penalty(self.model, batch, fakes)
            if penalty is not None:
                terms[f"g/{name}"] = weighted(regularizer.every, penalty)
        return terms

    @torch.no_grad()
    def update(self, outputs: Sequence[TermOutputs], step: int) -> None:
        """Update the states of losses, augmentations and regularizers after a discriminator step,
        and project.
        """
        for number, output in enumerate(outputs):
            loss = self.loss_for(output.term)
            loss.update(_real(output), output.fake)

            # Reals that an earlier term shares are counted once.
            counted = any(earlier.real is output.real for earlier in outputs[:number])
            if not counted:
                for augmentation in augmentations(output.term.discriminator):
                    margin = loss.decision_margin(_real(output), output.fake)
                    augmentation.update(output.term, _real(output), margin, step)
            for regularizer in self.regularizers_for(output.term).values():
                if not (counted and regularizer.counts_reals):
                    regularizer.update(output.term, _real(output), output.fake)
                regularizer.project(output.term.discriminator)

    def log_values(self, outputs: Sequence[TermOutputs]) -> LossTerms:
        """The discriminators' accuracy on reals and fakes, and the log values of losses and
        regularizers.
        """
        values: LossTerms = {}
        for output in outputs:
            loss = self.loss_for(output.term)
            real = _real(output)
            pairs = list(zip(real.parts, output.fake.parts, strict=True)) or [(real, output.fake)]
            accuracies = [torch.stack(loss.accuracy(*pair)) for pair in pairs]
            on_real, on_fake = torch.stack(accuracies).mean(0)
            found = {"accuracy_real": on_real, "accuracy_fake": on_fake}
            found |= loss.log_values(real, output.fake)
            for augmentation in augmentations(output.term.discriminator):
                found |= with_prefix("augment", augmentation.log_values())
            for name, regularizer in self.regularizers_for(output.term).items():
                found |= with_prefix(name, regularizer.log_values(output.term))
            values |= with_prefix(f"d/{output.term.name}", found)
        for name, generator_regularizer in self.generator_regularizers.items():
            values |= with_prefix(f"g/{name}", generator_regularizer.log_values())  # type: ignore[operator]
        return values

    def loss_for(self, term: AdversarialTerm) -> Loss:
        """The term's own copy of the loss."""
        return self.losses[term.name]  # type: ignore[return-value]

    def regularizers_for(self, term: AdversarialTerm) -> Mapping[str, Regularizer]:
        """The term's own copies of the regularizers, by name."""
        return dict(self.regularizers[term.name].items())  # type: ignore[operator]

    def _generator_value(self, output: TermOutputs, unrolled: bool) -> Tensor:
        """What the generators minimize of a term, without its weight."""
        loss, real, fake = self.loss_for(output.term), output.real, output.fake
        # Unrolled discriminators depend on the fakes, and with them the loss of reals.
        if unrolled:
            return -over_parts(loss.discriminator, real, fake)
        # Where the generators own both sides, they want the discriminator to take each for the
        # other.
        if output.term.swapped:
            return over_parts(loss.discriminator, fake, real)
        return over_parts(self._generator_loss(loss), fake, real)

    def _generator_loss(self, loss: Loss) -> GeneratorLoss:
        """What the generators minimize of a term with ``loss``."""
        found: GeneratorLoss = loss.generator
        for regularizer in self.generator_regularizers.values():
            found = regularizer.generator_loss(found)  # type: ignore[operator]
        return found

    def _generator_regularizers(self, step: int) -> list[tuple[str, GeneratorRegularizer]]:
        """The generators' regularizers that are applied in this step."""
        found: list[tuple[str, GeneratorRegularizer]] = list(self.generator_regularizers.items())  # type: ignore[arg-type]
        return [(name, regularizer) for name, regularizer in found if step % regularizer.every == 0]


def weighted(weight: float, value: Tensor) -> Tensor:
    """``weight`` times ``value``, which a weight of 1 leaves as it is."""
    return value if weight == 1 else weight * value


def over_parts(loss: Callable[..., Tensor], *outputs: DiscriminatorOutput | None) -> Tensor:
    """The loss of outputs, or its mean over their parts where a discriminator has several
    outputs.
    """
    first = outputs[0]
    assert first is not None
    if not first.parts:
        return loss(*outputs)
    values = []
    for number in range(len(first.parts)):
        parts = [None if output is None else output.parts[number] for output in outputs]
        values.append(loss(*parts))
    return torch.stack(values).mean()


def _evaluated(
    term: AdversarialTerm, penalties: Mapping[str, Regularizer], earlier: Sequence[TermOutputs]
) -> TermOutputs:
    """The outputs for ``term``; its samples require grad where a penalty differentiates with
    respect to them.
    """
    needs_real_gradient = any(r.real_gradient for r in penalties.values())
    needs_fake_gradient = any(r.fake_gradient for r in penalties.values())
    prepared = term.with_input_gradients(real=needs_real_gradient, fake=needs_fake_gradient)

    # Reals that were evaluated for an earlier term are not evaluated again.
    same = next((output for output in earlier if output.shares_reals_with(term)), None)
    if same is None:
        real = prepared.discriminate_real()
    else:
        real = _real(same)
        prepared = replace(prepared, real=same.term.real)
    return TermOutputs(prepared, real, prepared.discriminate_fake(), term)


def _real(output: TermOutputs) -> DiscriminatorOutput:
    """The output for the reals, which always exists in the discriminator step."""
    assert output.real is not None
    return output.real


def copies_for_terms(
    model: Model, loss: Loss, regularizers: Mapping[str, Regularizer | GeneratorRegularizer]
) -> tuple[nn.ModuleDict, nn.ModuleDict, nn.ModuleDict]:
    """A copy of the loss and of every regularizer for each adversarial term: their states are
    separate.

    Returns:
        The losses by name of the term; the discriminators' regularizers by name of the term and
        their own; those of the generators, of which there is one each.
    """
    # A regularizer is attached to the loss of its own term.
    losses = nn.ModuleDict({name: copy.deepcopy(loss) for name in model.term_names})
    copies = nn.ModuleDict()
    for name in model.term_names:
        own = {
            key: copy.deepcopy(r) for key, r in regularizers.items() if isinstance(r, Regularizer)
        }
        for regularizer in own.values():
            regularizer.attach(losses[name])
        copies[name] = nn.ModuleDict(own)

    # Those of the generators exist once, as they see the model and not a term.
    of_generators = {
        key: r for key, r in regularizers.items() if isinstance(r, GeneratorRegularizer)
    }
    return losses, copies, nn.ModuleDict(of_generators)


def check_step_arguments(
    model: Model,
    loss: Loss,
    regularizers: Mapping[str, Regularizer | GeneratorRegularizer],
    n_critic: int,
    clip_grad_norm: float | None,
) -> None:
    """Raise `ValueError` for arguments that are out of range, or that do not work with the model's
    networks.
    """
    if not isinstance(n_critic, int) or n_critic < 1:
        raise ValueError(f"n_critic must be an integer >= 1, got {n_critic!r}")
    of_discriminators = {name: r for name, r in regularizers.items() if isinstance(r, Regularizer)}
    if not len(model.discriminators) and (n_critic > 1 or of_discriminators):
        settings = f"n_critic={n_critic} and regularizers {list(of_discriminators)}"
        raise ValueError(
            f"{type(model).__name__} has no discriminator to train or regularize, got {settings}"
        )
    if clip_grad_norm is not None and clip_grad_norm <= 0:
        raise ValueError(f"clip_grad_norm must be > 0 or null, got {clip_grad_norm}")

    # What the loss and each regularizer ask of the networks.
    parts: list[Loss | Regularizer] = [loss, *of_discriminators.values()]
    for discriminator in model.discriminators.values():
        for part in parts:
            part.check(discriminator)
    check_scores(model, loss, regularizers)
    for name, of_term in of_discriminators.items():
        if of_term.mixes_sides and not model.sides_may_mix:
            raise ValueError(
                f"regularizer={name} mixes reals and fakes, but {type(model).__name__} has classes"
                " or further terms of each: use another regularizer"
            )
    for regularizer in regularizers.values():
        if isinstance(regularizer, GeneratorRegularizer):
            regularizer.check(model)
            regularizer.check_loss(loss)


def check_scores(
    model: Model, loss: Loss, regularizers: Mapping[str, Regularizer | GeneratorRegularizer]
) -> None:
    """Raise `ValueError` where high scores are taken for those of reals, and the loss has them
    low.
    """
    if loss.high_is_real:
        return
    parts = {type(model).__name__: model} | {f"regularizer={k}": r for k, r in regularizers.items()}
    for name, part in parts.items():
        if part.needs_high_is_real:
            raise ValueError(
                f"{name} takes high scores for those of reals, but {type(loss).__name__} scores"
                " reals low: use another loss, such as nonsaturating or hinge"
            )
