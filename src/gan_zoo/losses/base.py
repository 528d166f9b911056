"""The contract of an adversarial loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import Critique, Terms


class Loss(nn.Module):
    """What both players minimise, as two functions of critiques.

    Scores are raw and may have any shape ``[B, ...]``; both functions return a scalar, the mean over samples (and
    patches). A subclass with state registers it as buffers and changes it in `update` only. Each duel has its own
    copy.
    """

    generator_sees_real: ClassVar[bool] = False
    """Whether `generator` uses the critic's view of the reals (costs a forward pass in the generator's turn)."""

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        """What the critic minimises."""
        raise NotImplementedError

    def generator(self, fake: Critique, real: Critique | None = None) -> Tensor:
        """What the generator minimises. ``real`` is given when `generator_sees_real`."""
        raise NotImplementedError

    def check(self, critic: nn.Module) -> None:
        """Raise `ValueError`, saying what to change, if this loss cannot train ``critic``."""

    def update(self, real: Critique, fake: Critique) -> None:
        """Change the loss's state after the critic's step. Reduce moments over ranks first."""

    def readings(self, real: Critique, fake: Critique) -> Terms:
        """What a researcher reads while this loss trains, as named scalars. Called on reporting steps only."""
        return {}

    threshold: float = 0.0
    """The score at which the discriminator is undecided, where a single score says anything."""

    def leaning(self, real: Critique, fake: Critique) -> Tensor:
        """How far each score of a real leans towards "real", in the shape of the scores: 0 is undecided, < 0 "fake"."""
        return real.score - self.threshold

    @torch.no_grad()
    def accuracy(self, real: Critique, fake: Critique) -> tuple[Tensor, Tensor]:
        """The 0-1 view of the critic: shares of reals scored above, and of fakes scored below, `threshold`."""
        return (real.score > self.threshold).float().mean(), (fake.score < self.threshold).float().mean()


def above_the_middle(ahead: Tensor, behind: Tensor) -> Tensor:
    """The scores ``ahead`` minus the middle between the mean scores of both sides of the global batch.

    For losses whose scores are free up to a constant: the difference does not change when a constant is added.
    """
    middle = mean_over_ranks((ahead.float().mean() + behind.float().mean()) / 2)
    return ahead - middle


@torch.no_grad()
def accuracy_by_means(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of reals scored above the mean fake, and of fakes scored below the mean real, of the global batch.

    For losses whose scores are free up to a constant: the shares do not change when a constant is added.
    """
    of_real, of_fake = mean_over_ranks(torch.stack([real.float().mean(), fake.float().mean()]))
    return (real > of_fake).float().mean(), (fake < of_real).float().mean()


def limited(score: Tensor, limit: float = 10.0) -> Tensor:
    """``score`` within [-limit, limit], growing logarithmically outside, so that its exponential stays finite.

    exp(limited(v)) continues along its tangent beyond ``limit``: a clamp would leave the samples that a critic judges
    worst without a gradient. As the map is increasing, bounds that hold for every critic hold for the limited one.
    """
    excess = torch.relu(score.abs() - limit)
    return score.clamp(-limit, limit) + score.sign() * excess.log1p()


def require_autoencoder(loss: Loss, critic: nn.Module) -> None:
    """Raise `ValueError` unless ``critic`` scores samples by how badly it reconstructs them (``energy`` is True)."""
    if getattr(critic, "energy", False) is not True:
        raise ValueError(
            f"{type(loss).__name__} needs an auto-encoder critic: add discriminator=autoencoder, "
            f"got {type(critic).__name__}"
        )
