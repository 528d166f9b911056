"""The contract of a regularizer, and what several of them share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.rng import Noise
from gan_zoo.core.types import Count, Critique, Duel, Terms

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Regularizer(nn.Module):
    """A penalty added to the critic's loss, a projection after its step, or both.

    Args:
        every: apply the penalty on every ``every``-th critic step, multiplied by ``every`` (lazy regularisation,
            Karras et al. 2020), so that its mean over steps is the same.
    """

    real_gradient: ClassVar[bool] = False
    """Whether `penalty` differentiates with respect to the reals. They are then leaves of the one forward pass."""
    fake_gradient: ClassVar[bool] = False
    """Whether `penalty` differentiates with respect to the fakes."""
    per_sample: ClassVar[bool] = False
    """Whether the penalty is a property of single samples, which a critic with batch statistics does not have."""

    second_order: ClassVar[bool] = True
    """Whether `penalty` differentiates the critic, so that training does so twice: it is not compiled then."""

    counts_reals: ClassVar[bool] = False
    """Whether `update` counts the judged reals: then reals that several duels share are shown to one of them only."""

    def __init__(self, every: Count = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be >= 1, got {every}")
        self.every = every

    def check(self, critic: nn.Module) -> None:
        """Raise `ValueError`, saying what to change, if ``critic`` cannot be regularised like this."""
        if self.per_sample and any(isinstance(m, BATCH_NORMS) for m in critic.modules()):
            raise ValueError(
                f"{type(self).__name__} looks at the critic one sample at a time, but {type(critic).__name__} uses "
                "batch normalisation, which mixes samples: add discriminator.norm=layer (or none)"
            )

    def attach(self, loss: nn.Module) -> None:
        """Learn, before training, the loss of the same duel; for regularizers that need to know how to read scores."""

    def penalty(self, duel: Duel, real: Critique, fake: Critique, noise: Noise) -> Tensor | None:
        """The weighted penalty, a scalar; None for regularizers that only project."""
        return None

    def project(self, critic: nn.Module) -> None:
        """Change the critic's weights after its step."""

    def update(self, duel: Duel, real: Critique, fake: Critique) -> None:
        """Change the regularizer's state after the critic's step. Reduce moments over ranks first."""

    def readings(self, duel: Duel) -> Terms:
        """Further scalars worth logging."""
        return {}


def augmentations(critic: nn.Module) -> Iterator[nn.Module]:
    """What changes the samples that ``critic``, or a critic inside it, sees."""
    for part in critic.modules():
        if isinstance(augmentation := getattr(part, "augmentation", None), nn.Module):
            yield augmentation


def state_of(critic: nn.Module, name: str) -> Terms:
    """The tensor ``name`` of what changes the samples that ``critic`` sees, if that has one."""
    found = (getattr(part, name, None) for part in augmentations(critic))
    first = next((value for value in found if isinstance(value, Tensor)), None)
    return {} if first is None else {name: first}


def input_gradient(critique: Critique, create_graph: bool = True) -> Tensor:
    """The gradient of every score with respect to the discriminator's input, ``[N, D]``, one row for each score.

    An input is one sample, or a pack of samples where the discriminator judges packs (PacGAN, Lin et al. 2018, section
    3: the discriminator's input is the concatenation of m samples): N is the number of scores, which for packs is
    smaller than that of samples. Scores of patches are summed for each input. Exact only for discriminators that judge
    their inputs independently.
    """
    (gradient,) = torch.autograd.grad(critique.score.sum(), critique.x, create_graph=create_graph)
    return gradient.reshape(len(critique.score), -1)


def squared_norm(gradient: Tensor) -> Tensor:
    """The squared Euclidean norm of each row over all its dimensions, ``[N]``."""
    return gradient.flatten(1).square().sum(1)


def norm(gradient: Tensor) -> Tensor:
    """The Euclidean norm of each row over all its dimensions, ``[N]``; its derivative at zero is zero."""
    length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return length


def share_per_input(critique: Critique, noise: Noise, purpose: str) -> Tensor:
    """One number from U[0, 1] for each of the discriminator's inputs, in the shape that multiplies ``critique.x``.

    All samples of a pack get the same number: a pack is one point, and moves along one straight line.
    """
    x = critique.x
    inputs = len(critique.score)
    share = noise.uniform(purpose, inputs).repeat_interleave(len(x) // inputs)
    return share.to(x).view(-1, *[1] * (x.ndim - 1))
