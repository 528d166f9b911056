"""The controller of adaptive augmentation."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.distributed import mean_over_ranks, world_size
from gan_zoo.regularizers.base import Regularizer, augmentations, state_of
from gan_zoo.types import Critique, Duel, Terms


class AdaptiveAugmentation(Regularizer):
    """The critic's samples are augmented more often while it is too sure of the reals, else less often.

    Karras et al. 2020 (StyleGAN2-ADA), section 3: every ``interval`` critic steps the overfitting measure
    r_t = E sign(D(x)), over the interval's reals on all processes, is compared with ``target``, and the probability p
    of the critic's augmentation moves one step towards fewer or more augmented samples, within [0, 1]. There is no
    penalty. r_t needs a score that says where the critic is undecided: Wasserstein, relativistic and loss-sensitive
    critics have none. A critic that several duels share is moved by each of them; pairings that only teach it do not
    count.

    Args:
        target: r_t to hold, in (-1, 1).
        images_to_full: number of real images in which p can go from 0 to 1, > 0.
        interval: critic steps between two moves, >= 1.
        threshold: the score at which the critic is undecided; 0.5 for ``loss=lsgan``.
    """

    second_order: ClassVar[bool] = False

    signs: Tensor
    images: Tensor
    steps: Tensor

    def __init__(
        self, target: float = 0.6, images_to_full: int = 500_000, interval: int = 4, threshold: float = 0.0
    ) -> None:
        super().__init__()
        if not -1 < target < 1:
            raise ValueError(f"target must be in (-1, 1), got {target}")
        if images_to_full <= 0:
            raise ValueError(f"images_to_full must be > 0, got {images_to_full}")
        if interval < 1:
            raise ValueError(f"interval must be >= 1, got {interval}")
        self.target, self.images_to_full, self.interval, self.threshold = target, images_to_full, interval, threshold
        for name in ("signs", "images", "steps"):  # what was counted since the last move
            self.register_buffer(name, torch.zeros(()))

    def check(self, critic: nn.Module) -> None:
        if not any(isinstance(getattr(part, "p", None), Tensor) for part in augmentations(critic)):
            raise ValueError(
                f"regularizer=ada moves the probability of an adaptive augmentation, which {type(critic).__name__} "
                "does not have: add augment=ada"
            )
        if getattr(critic, "energy", False) is True:
            raise ValueError(
                "regularizer=ada reads the sign of the critic's scores, and energies have only one: "
                "use augment=diffaugment"
            )

    @torch.no_grad()
    def update(self, duel: Duel, real: Critique, fake: Critique) -> None:
        """Count the signs of the reals' scores and, at the interval's end, move p. The host waits for nothing."""
        if not duel.trains_generator:
            return
        images = len(real.score) * world_size()
        self.signs += images * mean_over_ranks((real.score.float() - self.threshold).sign().mean())
        self.images += images
        self.steps += 1
        due = (self.steps >= self.interval).float()
        direction = (self.signs / self.images - self.target).sign()
        for augmentation in augmentations(duel.critic):
            p: Tensor = augmentation.p  # type: ignore[assignment]
            p.add_(due * direction * self.images / self.images_to_full).clamp_(0, 1)
        for tally in (self.signs, self.images, self.steps):
            tally.mul_(1 - due)

    def readings(self, duel: Duel) -> Terms:
        """``p``, how often samples are augmented."""
        return state_of(duel.critic, "p")
