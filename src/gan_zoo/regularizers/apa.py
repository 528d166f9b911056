"""Adaptive pseudo augmentation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, LossTerms, Share
from gan_zoo.regularizers.ada import AdaptiveAugmentation


class AdaptivePseudoAugmentation(AdaptiveAugmentation):
    """With probability p a real is replaced by a fake, while the discriminator overfits.

    Jiang et al. 2021, APA.

    p moves as in `AdaptiveAugmentation`, by the same measure of overfitting. It needs no
    augmentation.

    Args:
        target, images_to_full, interval: as in `AdaptiveAugmentation`.
    """

    p: Tensor

    def __init__(self, target: Share = 0.6, images_to_full: Count = 500_000, interval: Count = 4) -> None:
        super().__init__(target, images_to_full, interval)
        self.register_buffer("p", torch.zeros(()))

    def check(self, discriminator: torch.nn.Module) -> None:
        if getattr(discriminator, "energy", False) is True:
            raise ValueError(
                "regularizer=apa reads the sign of the discriminator's scores, and energies have only "
                "one sign: use augment=diffaugment"
            )

    def prepare(self, term: AdversarialTerm, rng: StepRNG) -> AdversarialTerm:
        if term.mismatched or term.swapped:
            return term
        draws = rng.uniform(f"apa/{term.name}", len(term.real)).to(term.real.device)
        replaced = (draws < self.p).view(-1, *[1] * (term.real.ndim - 1))
        return replace(term, real=torch.where(replaced, term.fake, term.real))

    def move(self, term: AdversarialTerm, amount: Tensor) -> None:
        self.p.add_(amount).clamp_(0, 1)

    def readings(self, term: AdversarialTerm) -> LossTerms:
        """``p``, how often a real is replaced."""
        return {"p": self.p}
