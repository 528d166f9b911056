"""The contract of a regularizer, and what several of them share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, LossTerms

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Regularizer(nn.Module):
    """A penalty added to the discriminator's loss, a projection after its step, or both.

    Args:
        every: apply the penalty on every ``every``-th discriminator step, multiplied by ``every`` (lazy regularization,
            Karras et al. 2020), so that its mean over steps is the same.
    """

    real_gradient: ClassVar[bool] = False
    """Whether `penalty` differentiates with respect to the reals. They are then leaves of the one forward pass."""
    fake_gradient: ClassVar[bool] = False
    """Whether `penalty` differentiates with respect to the fakes."""
    per_sample: ClassVar[bool] = False
    """Whether the penalty is one of single samples, which a discriminator with batch statistics does not have."""

    second_order: ClassVar[bool] = True
    """Whether `penalty` differentiates the discriminator, so that training does so twice: it is not compiled then."""

    counts_reals: ClassVar[bool] = False
    """Whether `update` counts the judged reals: then reals that several terms share are shown to one of them only."""

    def __init__(self, every: Count = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be >= 1, got {every}")
        self.every = every

    def check(self, discriminator: nn.Module) -> None:
        """Raise `ValueError`, saying what to change, if ``discriminator`` cannot be regularized like this."""
        if self.per_sample and any(isinstance(m, BATCH_NORMS) for m in discriminator.modules()):
            raise ValueError(
                f"{type(self).__name__} looks at the discriminator one sample at a time, but "
                f"{type(discriminator).__name__} uses "
                "batch normalization, which mixes samples: add discriminator.norm=layer (or none)"
            )

    def attach(self, loss: nn.Module) -> None:
        """Learn, before training, the loss of the same term; for regularizers that need to know how to read scores."""

    def penalty(
        self, term: AdversarialTerm, real: DiscriminatorOutput, fake: DiscriminatorOutput, rng: StepRNG
    ) -> Tensor | None:
        """The weighted penalty, a scalar; None for regularizers that only project."""
        return None

    def project(self, discriminator: nn.Module) -> None:
        """Change the discriminator's weights after its step."""

    def update(self, term: AdversarialTerm, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> None:
        """Change the regularizer's state after the discriminator's step. Reduce moments over ranks first."""

    def readings(self, term: AdversarialTerm) -> LossTerms:
        """Further scalars worth logging."""
        return {}


def augmentations(discriminator: nn.Module) -> Iterator[nn.Module]:
    """What changes the samples that ``discriminator``, or a discriminator inside it, sees."""
    for part in discriminator.modules():
        if isinstance(augmentation := getattr(part, "augmentation", None), nn.Module):
            yield augmentation


def state_of(discriminator: nn.Module, name: str) -> LossTerms:
    """The tensor ``name`` of what changes the samples that ``discriminator`` sees, if that has one."""
    found = (getattr(part, name, None) for part in augmentations(discriminator))
    first = next((value for value in found if isinstance(value, Tensor)), None)
    return {} if first is None else {name: first}


def input_gradient(output: DiscriminatorOutput, create_graph: bool = True) -> Tensor:
    """The gradient of every score with respect to the discriminator's input, ``[N, D]``, one row for each score.

    An input is one sample, or a pack of samples where the discriminator judges packs (PacGAN, Lin et al. 2018, section
    3: the discriminator's input is the concatenation of m samples): N is the number of scores, which for packs is
    smaller than that of samples. Scores of patches are summed for each input. Exact only for discriminators that judge
    their inputs independently.
    """
    (gradient,) = torch.autograd.grad(output.score.sum(), output.x, create_graph=create_graph)
    return gradient.reshape(len(output.score), -1)


def squared_norm(gradient: Tensor) -> Tensor:
    """The squared Euclidean norm of each row over all its dimensions, ``[N]``."""
    return gradient.flatten(1).square().sum(1)


def norm(gradient: Tensor) -> Tensor:
    """The Euclidean norm of each row over all its dimensions, ``[N]``; its derivative at zero is zero."""
    length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return length


def share_per_input(output: DiscriminatorOutput, rng: StepRNG, purpose: str) -> Tensor:
    """One number from U[0, 1] for each of the discriminator's inputs, in the shape that multiplies ``output.x``.

    All samples of a pack get the same number: a pack is one point, and moves along one straight line.
    """
    x = output.x
    inputs = len(output.score)
    share = rng.uniform(purpose, inputs).repeat_interleave(len(x) // inputs)
    return share.to(x).view(-1, *[1] * (x.ndim - 1))
