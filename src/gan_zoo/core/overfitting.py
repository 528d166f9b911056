"""A probability that follows how much a discriminator overfits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import mean_over_ranks, world_size


class AdaptiveProbability(nn.Module):
    """Rises while the discriminator overfits, else falls.

    Karras et al. 2020 (StyleGAN2-ADA), section 3: every ``interval`` discriminator steps the
    overfitting measure r_t = E sign(D(x)), over the interval's reals on all processes, is compared
    with ``target``, and p moves one step towards 1 or 0. It counts images: what a real was scored
    in a pack counts each image of the pack.

    Args:
        p: initial probability, in [0, 1].
        target: r_t to hold, in [0, 1): 0 is a discriminator at chance, 1 one that is always right;
            None for a constant probability.
        images_to_full: number of real images in which p can go from 0 to 1, > 0.
        interval: discriminator steps between two moves, >= 1.

    Attributes:
        p: the probability, a buffer.
    """

    p: Tensor
    signs: Tensor
    images: Tensor
    steps: Tensor

    def __init__(self, p: float, target: float | None, images_to_full: int, interval: int) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got {p}")
        if target is not None and not 0 <= target < 1:
            raise ValueError(f"target must be in [0, 1), or null for a constant p, got {target}")
        if images_to_full <= 0:
            raise ValueError(f"images_to_full must be > 0, got {images_to_full}")
        if interval < 1:
            raise ValueError(f"interval must be >= 1, got {interval}")
        self.target = target
        self.images_to_full = images_to_full
        self.interval = interval
        self.register_buffer("p", torch.tensor(float(p)))
        for name in ("signs", "images", "steps"):  # what was counted since the last move
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def update(self, margin: Tensor, images: int) -> None:
        """Count the signs of a batch; at the interval's end, change p on the device.

        Args:
            margin: each score of a real minus the score at which the discriminator is undecided.
            images: number of reals in the batch of this process.
        """
        if self.target is None:
            return

        # Each image counts once, over all processes.
        counted = images * world_size()
        self.signs += counted * mean_over_ranks(margin.float().sign().mean())
        self.images += counted
        self.steps += 1

        # Where the interval is not over, the move is by zero: the host does not look.
        due = (self.steps >= self.interval).float()
        direction = (self.signs / self.images - self.target).sign()
        self.p.add_(due * direction * self.images / self.images_to_full).clamp_(0, 1)
        for tally in (self.signs, self.images, self.steps):
            tally.mul_(1 - due)


def require_signed_scores(discriminator: nn.Module, argument: str) -> None:
    """Raise `ValueError` for a discriminator whose scores are energies, which have only one
    sign.
    """
    if getattr(discriminator, "energy", False) is True:
        raise ValueError(
            f"{argument} reads the sign of the discriminator's scores, and energies have only one: "
            "use augment=diffaugment"
        )
