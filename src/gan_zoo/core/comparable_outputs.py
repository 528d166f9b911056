"""Outputs of a discriminator that are compared sample by sample, whatever it draws at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import DiscriminatorOutput, run_discriminator


def is_augmented(discriminator: nn.Module) -> bool:
    """Whether ``discriminator``, or one inside it, changes its inputs at random."""
    return any(hasattr(module, "augmentation") for module in discriminator.modules())


def comparable_outputs(
    discriminator: nn.Module, inputs: Sequence[tuple[Tensor, Any]], rng: StepRNG
) -> list[DiscriminatorOutput]:
    """The outputs for several batches of samples and their conditions, with the same augmentation
    of sample i in each of them.
    """
    outputs = []
    for x, condition in inputs:
        with rng.as_default():
            outputs.append(run_discriminator(discriminator, x, condition))
    return outputs
