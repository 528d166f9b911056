"""Annealing of instance noise."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, LossTerms, Weight
from gan_zoo.regularizers.base import Regularizer, augmentations, state_of


class Fade(Regularizer):
    """Anneals the discriminator's instance noise linearly from ``std`` to 0 in ``steps`` steps.

    No penalty.

    The standard deviation is a function of the step alone, so there is nothing to restore.

    Args:
        std: standard deviation at the first step, >= 0.
        steps: discriminator steps until there is no noise, >= 1.
    """

    needs_double_backward: ClassVar[bool] = False

    def __init__(self, std: Weight = 0.1, steps: Count = 3000) -> None:
        super().__init__()
        if std < 0 or steps < 1:
            raise ValueError(f"std must be >= 0 and steps >= 1, got {std} and {steps}")
        self.std = std
        self.steps = steps

    def check(self, discriminator: nn.Module) -> None:
        if not any(isinstance(getattr(part, "std", None), Tensor) for part in augmentations(discriminator)):
            raise ValueError(
                f"regularizer=fade anneals instance noise, which {type(discriminator).__name__} does not have: add "
                "augment=instance_noise"
            )

    def penalty(
        self, term: AdversarialTerm, real: DiscriminatorOutput, fake: DiscriminatorOutput, rng: StepRNG
    ) -> None:
        """No penalty: sets the noise of the next step."""
        for part in augmentations(term.discriminator):
            if isinstance(std := getattr(part, "std", None), Tensor):
                std.fill_(self.std * max(0.0, 1 - (rng.step + 1) / self.steps))

    def readings(self, term: AdversarialTerm) -> LossTerms:
        """``std``, the noise of the next step."""
        return state_of(term.discriminator, "std")
