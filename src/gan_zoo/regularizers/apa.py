"""Adaptive pseudo augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.overfitting import AdaptiveProbability, require_signed_scores
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, LossTerms, Share
from gan_zoo.regularizers.base import Regularizer


class AdaptivePseudoAugmentation(Regularizer):
    """With probability p a real is replaced by a fake, while the discriminator overfits.

    Jiang et al. 2021, APA.

    p follows `AdaptiveProbability`, by the measure of overfitting of ``augment=ada``. It needs no
    augmentation, and has no penalty.

    Args:
        target: mean sign of the reals' scores to hold, in [0, 1).
        images_to_full: real images in which p can go from 0 to 1, > 0.
        interval: discriminator steps between two moves of p, >= 1.
    """

    needs_double_backward: ClassVar[bool] = False
    mixes_sides: ClassVar[bool] = True
    counts_reals: ClassVar[bool] = True

    def __init__(
        self, target: Share = 0.6, images_to_full: Count = 500_000, interval: Count = 4
    ) -> None:
        super().__init__()
        self.adaptive = AdaptiveProbability(0.0, target, images_to_full, interval)
        self._decision_margin: (
            Callable[[DiscriminatorOutput, DiscriminatorOutput], Tensor] | None
        ) = None

    @property
    def p(self) -> Tensor:
        """The probability."""
        return self.adaptive.p

    def check(self, discriminator: nn.Module) -> None:
        require_signed_scores(discriminator, "regularizer=apa")

    def attach(self, loss: nn.Module) -> None:
        self._decision_margin = getattr(loss, "decision_margin", None)

    def prepare(self, term: AdversarialTerm, rng: StepRNG) -> AdversarialTerm:
        if term.mismatched or term.swapped:
            return term
        draws = rng.uniform(f"apa/{term.name}", len(term.real)).to(term.real.device)
        replaced = (draws < self.p).view(-1, *[1] * (term.real.ndim - 1))
        return replace(term, real=torch.where(replaced, term.fake, term.real))

    @torch.no_grad()
    def update(
        self, term: AdversarialTerm, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> None:
        if term.mismatched:
            return
        margin = real.score if self._decision_margin is None else self._decision_margin(real, fake)
        self.adaptive.update(margin, len(real.x))

    def log_values(self, term: AdversarialTerm) -> LossTerms:
        """``p``, how often a real is replaced."""
        return {"p": self.p}
