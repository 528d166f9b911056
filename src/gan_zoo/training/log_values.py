"""Numbers for the loggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import LossTerms, TermOutputs
from gan_zoo.loggers.dispatch import log
from gan_zoo.training.divergence import raise_if_not_finite

if TYPE_CHECKING:
    from gan_zoo.training.module import GANModule


def finite_numbers(values: LossTerms, step: int) -> dict[str, float]:
    """Scalars averaged over processes, by one transfer from the device; and ``train/total``, the
    sum of the totals.

    Raises:
        TrainingDiverged: naming those that are NaN or infinite.
    """
    stacked = mean_over_ranks(torch.stack([value.detach().float() for value in values.values()]))
    numbers = dict(zip(values, stacked.tolist(), strict=True))
    raise_if_not_finite(numbers, step)
    if totals := [number for name, number in numbers.items() if name.endswith("/total")]:
        numbers["train/total"] = sum(totals)
    return numbers


@torch.no_grad()
def log_step(module: GANModule, terms: LossTerms, outputs: Sequence[TermOutputs]) -> None:
    """Log the terms, accuracies, gradient norms, learning rates and counts of a step.

    Called in every ``log_every_n_steps``-th step only: nowhere else does the host wait for the
    device.

    Raises:
        TrainingDiverged: if anything is not finite.
    """
    # Steps before this one come first, so that the first bad one is named.
    module.divergence_detector.flush()
    values = terms | module.adversarial.log_values(outputs)
    if module.discriminator_updater is not None:
        values["d/grad_norm"] = module.discriminator_updater.gradient_norm()
    values["g/grad_norm"] = module.generator_updater.gradient_norm()

    # One transfer from the device for all of them; rates and counts are on the host.
    numbers = finite_numbers(values, module.global_step)
    for name, optimizer in zip(module.parameter_groups(), module.trainer.optimizers, strict=True):
        numbers[f"lr/{name}"] = float(optimizer.param_groups[0]["lr"])
    log(module.trainer, numbers | module.clock.log_values(), module.global_step)
