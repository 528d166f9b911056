"""The discriminator step and the generator steps on one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gan_zoo.core.types import Batch, FakeSamples, LossTerms, TermOutputs
from gan_zoo.training.micro_batches import merge_outputs
from gan_zoo.training.modes import frozen

if TYPE_CHECKING:
    from gan_zoo.training.module import GANModule


def discriminator_step(
    module: GANModule, parts: Sequence[Batch], fakes: Sequence[FakeSamples], step: int, last: bool
) -> tuple[LossTerms, list[TermOutputs]]:
    """One step on reals and detached fakes, then the states of losses and regularizers are updated.

    Args:
        module: the model, its losses and optimizers.
        parts: equal parts of the batch, whose gradients are accumulated.
        fakes: for each part.
        step: the number of the batch.
        last: whether no generator step follows on this batch.

    Returns:
        The terms that were minimized, and the discriminators' outputs; nothing for models without
        discriminators.
    """
    if module.discriminator_updater is None:
        return {}, []

    # The gradients of all parts, for a single step of the optimizer.
    outputs_of_parts = []
    for part, fake in zip(parts, fakes, strict=True):
        terms, outputs = module.adversarial.discriminator_terms(part, fake, step)
        module.discriminator_updater.accumulate(terms, len(parts))
        outputs_of_parts.append(outputs)

    # States are updated once, from the outputs for the whole batch.
    terms = module.discriminator_updater.step(step, last)
    merged = merge_outputs(outputs_of_parts)
    module.adversarial.update(merged, step)
    return terms, merged


def generator_steps(
    module: GANModule, parts: Sequence[Batch], fakes: Sequence[FakeSamples] | None, step: int
) -> LossTerms:
    """``n_generator`` steps against frozen discriminators, whose weights then cost no backward
    pass.

    Args:
        module: the model, its losses and optimizers.
        parts: equal parts of the batch, whose gradients are accumulated.
        fakes: for each part, with gradients, for the first step; None to generate them here.
        step: the number of the batch.

    Returns:
        The terms that were minimized last.
    """
    terms: LossTerms = {}
    for number in range(module.n_generator):
        with frozen(module.model.discriminators):
            for index, part in enumerate(parts):
                # Further steps on the same batch draw new latents.
                if number > 0:
                    part = replace(part, rng=part.rng.derive(f"generator step {number}"))

                # The first step uses the fakes it is given, later ones generate their own.
                reuse = fakes is not None and number == 0
                fake = fakes[index] if fakes is not None and reuse else module.model.generate(part)
                generator_step = module.clock.generator_steps + 1
                part_terms = module.adversarial.generator_terms(
                    part, fake, generator_step, module.unrolling
                )
                module.generator_updater.accumulate(part_terms, len(parts))
            terms = module.generator_updater.step(step, last=number == module.n_generator - 1)
        module.clock.generator_steps += 1
    return terms
