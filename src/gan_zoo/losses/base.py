"""Interface of adversarial losses."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import DiscriminatorOutput, LossTerms


class Loss(nn.Module):
    """What both sides minimize, as two functions of outputs.

    Scores are raw and may have any shape ``[B, ...]``; both functions return a scalar, the mean
    over samples (and patches). A subclass with state registers it as buffers and changes it in
    `update` only. Each term has its own copy.
    """

    mean_of_samples: bool = True
    """Whether the loss of a batch is the mean of those of its parts, for gradient accumulation."""

    generator_sees_real: ClassVar[bool] = False
    """Whether `generator` uses the discriminator's outputs for reals (one more forward pass)."""

    high_is_real: ClassVar[bool] = True
    """Whether reals are to have higher scores than fakes; energies are the other way round."""

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """What the discriminator minimizes."""
        raise NotImplementedError

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        """What the generator minimizes. ``real`` is given when `generator_sees_real`."""
        raise NotImplementedError

    def check(self, discriminator: nn.Module) -> None:
        """Raise `ValueError`, saying what to change, if this loss cannot train
        ``discriminator``.
        """

    def update(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> None:
        """Change the loss's state after the discriminator's step. Reduce moments over ranks
        first.
        """

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        """Further scalars to log. Called in logging steps only."""
        return {}

    threshold: float = 0.0
    """The score at which the discriminator is undecided, where a single score has a meaning."""

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Each score of a real minus the undecided score: > 0 is classified as real."""
        return real.score - self.threshold

    @torch.no_grad()
    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """The fractions of reals scored above, and of fakes scored below, `threshold`."""
        return (real.score > self.threshold).float().mean(), (
            fake.score < self.threshold
        ).float().mean()


def relative_to_midpoint(target: Tensor, other: Tensor) -> Tensor:
    """The scores ``target`` minus the midpoint of both sides' mean scores in the global batch.

    For losses whose scores are free up to a constant: the difference does not change when a
    constant is added.
    """
    midpoint = mean_over_ranks((target.float().mean() + other.float().mean()) / 2)
    return target - midpoint


@torch.no_grad()
def accuracy_by_means(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Fractions of reals above the mean fake score, and of fakes below the mean real score.

    For losses whose scores are free up to a constant: the fractions do not change when a constant
    is added.
    """
    mean_real, mean_fake = mean_over_ranks(torch.stack([real.float().mean(), fake.float().mean()]))
    return (real > mean_fake).float().mean(), (fake < mean_real).float().mean()


def soft_clip(score: Tensor, limit: float = 10.0) -> Tensor:
    """``score`` within [-limit, limit], logarithmic outside, so that its exponential is finite.

    exp(soft_clip(v)) continues along its tangent beyond ``limit``: a clamp would leave the samples
    with the worst scores without a gradient. As the map is increasing, bounds that hold for every
    discriminator hold for the clipped one.
    """
    # exp(limit + log(1 + excess)) = exp(limit) (1 + excess), the tangent.
    excess = torch.relu(score.abs() - limit)
    return score.clamp(-limit, limit) + score.sign() * excess.log1p()


def require_autoencoder(loss: Loss, discriminator: nn.Module) -> None:
    """Raise `ValueError` unless ``discriminator`` is an autoencoder (``energy`` is True)."""
    if getattr(discriminator, "energy", False) is not True:
        raise ValueError(
            f"{type(loss).__name__} needs an autoencoder discriminator: add"
            f" discriminator=autoencoder, got {type(discriminator).__name__}"
        )
