"""Adaptive discriminator augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import mean_over_ranks, world_size
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, Finite, LossTerms, Share
from gan_zoo.regularizers.base import Regularizer, augmentations, state_of


class AdaptiveAugmentation(Regularizer):
    """Augments more often while the discriminator overfits, else less often (StyleGAN2-ADA).

    Karras et al. 2020 (StyleGAN2-ADA), section 3: every ``interval`` discriminator steps the
    overfitting measure r_t = E sign(D(x)), over the interval's reals on all processes, is compared
    with ``target``, and the probability p of the discriminator's augmentation moves one step
    towards fewer or more augmented samples, within [0, 1]. There is no penalty.

    The sign is taken around the score at which the loss is undecided: 0 for logits, 1/2 for
    ``loss=lsgan``, f'(1) for f-divergences. Scores that are free up to a constant (Wasserstein,
    relativistic, loss-sensitive) are compared with the middle between the mean scores of both
    sides. p counts images: what a real was scored by several terms of one discriminator, or in a
    pack, counts each image once; mismatched pairs, whose scores do not measure overfitting, do not
    count.

    Args:
        target: r_t to hold, in [0, 1): 0 is a discriminator at chance, 1 one that is always right.
        images_to_full: number of real images in which p can go from 0 to 1, > 0.
        interval: discriminator steps between two moves, >= 1.
        threshold: the score at which the discriminator is undecided; None for that of the loss, or
            0 without a loss.
    """

    needs_double_backward: ClassVar[bool] = False
    counts_reals: ClassVar[bool] = True

    signs: Tensor
    images: Tensor
    steps: Tensor

    def __init__(
        self, target: Share = 0.6, images_to_full: Count = 500_000, interval: Count = 4, threshold: Finite | None = None
    ) -> None:
        super().__init__()
        if not 0 <= target < 1:
            raise ValueError(f"target must be in [0, 1), got {target}")
        if images_to_full <= 0:
            raise ValueError(f"images_to_full must be > 0, got {images_to_full}")
        if interval < 1:
            raise ValueError(f"interval must be >= 1, got {interval}")
        self.target = target
        self.images_to_full = images_to_full
        self.interval = interval
        self.threshold = threshold
        self._decision_margin: Callable[[DiscriminatorOutput, DiscriminatorOutput], Tensor] | None = None
        for name in ("signs", "images", "steps"):  # what was counted since the last move
            self.register_buffer(name, torch.zeros(()))

    def check(self, discriminator: nn.Module) -> None:
        if not any(isinstance(getattr(part, "p", None), Tensor) for part in augmentations(discriminator)):
            raise ValueError(
                "regularizer=ada changes the probability of an adaptive augmentation, which "
                f"{type(discriminator).__name__} "
                "does not have: add augment=ada"
            )
        if getattr(discriminator, "energy", False) is True:
            raise ValueError(
                "regularizer=ada reads the sign of the discriminator's scores, and energies have only one: "
                "use augment=diffaugment"
            )

    def attach(self, loss: nn.Module) -> None:
        self._decision_margin = getattr(loss, "decision_margin", None)

    def sign(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """1 where a real is classified as real, -1 where as fake, 0 where undecided."""
        if self.threshold is None and self._decision_margin is not None:
            return self._decision_margin(real, fake).float().sign()
        return (real.score.float() - (self.threshold or 0.0)).sign()

    @torch.no_grad()
    def update(self, term: AdversarialTerm, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> None:
        """Count the signs of the reals' scores; at the interval's end, change p on the device."""
        if term.mismatched:
            return
        images = len(real.x) * world_size()  # of which a pack holds several
        self.signs += images * mean_over_ranks(self.sign(real, fake).mean())
        self.images += images
        self.steps += 1
        due = (self.steps >= self.interval).float()
        direction = (self.signs / self.images - self.target).sign()
        self.move(term, due * direction * self.images / self.images_to_full)
        for tally in (self.signs, self.images, self.steps):
            tally.mul_(1 - due)

    def move(self, term: AdversarialTerm, amount: Tensor) -> None:
        """Change the probability by ``amount``, within [0, 1]."""
        for augmentation in augmentations(term.discriminator):
            p: Tensor = augmentation.p  # type: ignore[assignment]
            p.add_(amount).clamp_(0, 1)

    def readings(self, term: AdversarialTerm) -> LossTerms:
        """``p``, how often samples are augmented."""
        return state_of(term.discriminator, "p")
