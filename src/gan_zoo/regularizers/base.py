"""Interfaces of regularizers, and helpers that several of them use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    DiscriminatorOutput,
    FakeSamples,
    LossTerms,
    SampleRequest,
)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Regularizer(nn.Module):
    """A penalty added to the discriminator's loss, a projection after its step, or both.

    Args:
        every: apply the penalty on every ``every``-th discriminator step, multiplied by ``every``
            (lazy regularization, Karras et al. 2020), so that its mean over steps is the same.
    """

    real_gradient: ClassVar[bool] = False
    """Whether `penalty` differentiates by the reals, which are then leaves of the forward pass."""
    fake_gradient: ClassVar[bool] = False
    """Whether `penalty` differentiates with respect to the fakes."""
    per_sample: ClassVar[bool] = False
    """Whether the penalty uses gradients of single samples, which batch statistics make invalid."""

    needs_double_backward: ClassVar[bool] = True
    """Whether `penalty` differentiates the discriminator, which is then not compiled."""

    mean_of_samples: bool = True
    """Whether the penalty of a batch is the mean of those of its parts, for accumulation."""

    counts_reals: ClassVar[bool] = False
    """Whether `update` counts reals, of which those used by several terms count once."""

    mixes_sides: ClassVar[bool] = False
    """Whether `prepare` puts fakes among the reals, or reals among the fakes."""

    needs_high_is_real: ClassVar[bool] = False
    """Whether it takes high scores for those of reals (`gan_zoo.losses.base.Loss.high_is_real`)."""

    def __init__(self, every: Count = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be >= 1, got {every}")
        self.every = every

    def check(self, discriminator: nn.Module) -> None:
        """Raise `ValueError` if ``discriminator`` cannot be regularized like this."""
        if self.per_sample and any(isinstance(m, BATCH_NORMS) for m in discriminator.modules()):
            raise ValueError(
                f"{type(self).__name__} needs gradients of single samples, but "
                f"{type(discriminator).__name__} uses "
                "batch normalization, which mixes samples: add discriminator.norm=layer (or none)"
            )

    def attach(self, loss: nn.Module) -> None:
        """Get the loss of the same term before training; for regularizers that interpret scores."""

    def prepare(self, term: AdversarialTerm, rng: StepRNG) -> AdversarialTerm:
        """The term to evaluate in the discriminator step: its samples or sides may be changed
        here.
        """
        return term

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor | None:
        """The weighted penalty, a scalar; None for regularizers that only project."""
        return None

    def project(self, discriminator: nn.Module) -> None:
        """Change the discriminator's weights after its step."""

    def update(
        self, term: AdversarialTerm, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> None:
        """Update the state after the discriminator's step. Reduce moments over ranks first."""

    def log_values(self, term: AdversarialTerm) -> LossTerms:
        """Further scalars to log."""
        return {}


GeneratorLoss = Callable[[DiscriminatorOutput, DiscriminatorOutput | None], Tensor]
"""What the generators minimize of a term, given the outputs for fakes and reals."""


class AdversarialLoss(Protocol):
    """What a regularizer of the generators may ask of a loss (`gan_zoo.losses.base.Loss`)."""

    mean_of_samples: bool
    generator_sees_real: ClassVar[bool]


class Generators(Protocol):
    """What a regularizer of the generators may use of a model (`gan_zoo.models.base.Model`)."""

    generators: nn.ModuleDict
    discriminators: nn.ModuleDict
    latent_dim: int | None
    name_of_sample: ClassVar[str | None]
    compares_samples: ClassVar[bool]

    def request_for(self, batch: Batch) -> SampleRequest:
        """What the generators are conditioned on in training."""
        ...

    def latents(self, request: SampleRequest) -> Tensor:
        """Latents ``[B, latent_dim]``."""
        ...

    def requested_label(self, request: SampleRequest) -> Tensor | None:
        """The class or categorical code of each sample."""
        ...

    def requested_codes(self, request: SampleRequest) -> Tensor | None:
        """The continuous codes of each sample."""
        ...

    def generator_inputs(
        self, request: SampleRequest, generators: nn.ModuleDict
    ) -> tuple[Tensor, ...]:
        """The inputs of ``generators["main"]``."""
        ...

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """Samples ``[B, ...]``."""
        ...

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        """The pairs of reals and fakes that the discriminators compare."""
        ...


class GeneratorRegularizer(nn.Module):
    """A penalty added to the generators' loss; there is one for the whole model.

    Args:
        every: apply the penalty on every ``every``-th generator step, multiplied by ``every``.
    """

    needs_double_backward: ClassVar[bool] = False
    """Whether `penalty` differentiates the generators, which are then not compiled."""

    mean_of_samples: bool = True
    """Whether the penalty of a batch is the mean of those of its parts, for accumulation."""

    needs_high_is_real: ClassVar[bool] = False
    """Whether it takes high scores for those of reals."""

    def __init__(self, every: Count = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be >= 1, got {every}")
        self.every = every

    def check(self, model: Generators) -> None:
        """Raise `ValueError` if the generators cannot be regularized like this."""

    def check_loss(self, loss: AdversarialLoss) -> None:
        """Raise `ValueError` if the generators cannot be trained with ``loss`` like this."""

    def generator_loss(self, loss: GeneratorLoss) -> GeneratorLoss:
        """What the generators minimize instead of ``loss``, for each adversarial term; terms that
        are swapped keep theirs.
        """
        return loss

    def penalty(self, model: Generators, batch: Batch, fakes: FakeSamples) -> Tensor | None:
        """The weighted penalty of the generators, a scalar. No gradient may reach the
        discriminators' weights.
        """
        return None

    def discriminator_penalty(
        self, model: Generators, batch: Batch, fakes: FakeSamples
    ) -> Tensor | None:
        """A penalty of the discriminators that needs the generators.

        No gradient may reach the generators.

        Args:
            model: the model.
            batch: the batch.
            fakes: detached outputs of the generators.
        """
        return None

    def log_values(self) -> LossTerms:
        """Further scalars to log."""
        return {}


def require_latents(model: Generators, name: str) -> None:
    """Raise `ValueError` unless the model's generators have latents."""
    if model.latent_dim is None:
        raise ValueError(
            f"regularizer={name} compares samples of different latents, {type(model).__name__} has"
            " none"
        )
    if not model.compares_samples:
        raise ValueError(
            f"regularizer={name} compares samples with what the discriminator sees, which are not"
            f" the samples of {type(model).__name__}: use another regularizer"
        )


def input_gradient(output: DiscriminatorOutput, create_graph: bool = True) -> Tensor:
    """The gradient of every score by the discriminator's input, ``[N, D]``, one row for each score.

    An input is one sample, or a pack of samples where the discriminator scores packs (PacGAN, Lin
    et al. 2018, section 3: the discriminator's input is the concatenation of m samples): N is the
    number of scores, which for packs is smaller than that of samples. Scores of patches are summed
    for each input. Exact only for discriminators that score their inputs independently.
    """
    (gradient,) = torch.autograd.grad(output.score.sum(), output.x, create_graph=create_graph)
    return gradient.reshape(len(output.score), -1)


def squared_norm(gradient: Tensor) -> Tensor:
    """The squared Euclidean norm of each row over all its dimensions, ``[N]``."""
    return gradient.flatten(1).square().sum(1)


def norm(gradient: Tensor) -> Tensor:
    """The Euclidean norm of each row over all its dimensions, ``[N]``.

    Its derivative at zero is zero.
    """
    length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return length


def uniform_per_input(output: DiscriminatorOutput, rng: StepRNG, purpose: str) -> Tensor:
    """U[0, 1] for each input of the discriminator, in a shape that multiplies ``output.x``.

    All samples of a pack get the same number: a pack is one point, and moves along one straight
    line.
    """
    x = output.x
    inputs = len(output.score)
    epsilon = rng.uniform(purpose, inputs).repeat_interleave(len(x) // inputs)
    return epsilon.to(x).view(-1, *[1] * (x.ndim - 1))
