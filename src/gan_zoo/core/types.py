"""The words the five nouns exchange: batches, outputs, terms and named terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AllowInfNan
from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG

Count = Annotated[int, Gt(0)]
"""How many of something there are: widths, depths, sizes."""

Finite = Annotated[float, AllowInfNan(False)]
"""A number that is neither NaN nor infinite."""

Positive = Annotated[float, Gt(0), AllowInfNan(False)]
"""A finite number above 0: scales, rates, margins."""

Weight = Annotated[float, Ge(0), AllowInfNan(False)]
"""A finite factor on a term, 0 for none."""

Share = Annotated[float, Ge(0), Lt(1), AllowInfNan(False)]
"""A part of something, in [0, 1)."""

Fraction = Annotated[float, Ge(0), Le(1), AllowInfNan(False)]
"""A probability, or a factor in [0, 1]."""

Whole = Annotated[int, Ge(0)]
"""How many of something that there may be none of."""

PathText = Annotated[str, MinLen(1)]
"""Where a file or a folder is."""

Shape = Annotated[Sequence[Count], MinLen(1)]
"""The shape of a sample or a condition."""

LossTerms = dict[str, Tensor]
"""Named scalars: summed for the backward pass and logged as they are."""

FakeSamples = dict[str, Tensor]
"""What the generators made of one batch, by name (``"fake"``, or one entry for each direction of a translation)."""


def with_prefix(prefix: str, terms: LossTerms) -> LossTerms:
    """``terms`` under log keys ``prefix/name``."""
    return {f"{prefix}/{name}": term for name, term in terms.items()}


def total_loss(terms: LossTerms) -> Tensor:
    """The sum of at least one term."""
    first, *rest = terms.values()
    return sum(rest, start=first)


@dataclass(slots=True)
class Batch:
    """One rank's share of a global batch.

    Attributes:
        size: number of samples here, B.
        noise: where the step draws its random numbers; the only source that is the same on any number of processes.
        real: real samples, ``[B, C, H, W]`` in [-1, 1], or ``[B, D]`` for vector data; None when only sampling.
        label: class numbers ``[B]`` (int64), if the data has them.
        latents: ``[B, latent_dim]``, when the caller wants these and not fresh ones.
        condition: what each sample comes with beside its class: a picture ``[B, C, H, W]`` in [-1, 1], a vector
            ``[B, D]`` or token numbers ``[B, L]`` (int64). For unpaired domains, samples of the other one.
        mismatched_condition: conditions of other samples, each guaranteed to differ from the right one.
        unrelated: for viewers, samples that do not belong to the conditions, where the data know of none that do.
    """

    size: int
    rng: StepRNG
    real: Tensor | None = None
    label: Tensor | None = None
    latents: Tensor | None = None
    condition: Tensor | None = None
    mismatched_condition: Tensor | None = None
    unrelated: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch with every tensor on ``device``."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return Batch(
            size=self.size,
            rng=self.rng.to(device),
            real=move(self.real),
            label=move(self.label),
            latents=move(self.latents),
            condition=move(self.condition),
            mismatched_condition=move(self.mismatched_condition),
            unrelated=move(self.unrelated),
        )


@dataclass(slots=True)
class DiscriminatorOutput:
    """What a discriminator says of samples.

    Attributes:
        score: raw scores, ``[B]`` or one for each patch ``[B, ...]``; never squashed.
        x: the samples judged. It requires grad when a regularizer asked for input gradients.
        aux: what further heads say (class logits, a reconstruction, codes), if there are any.
        features: intermediate activations, for terms that compare them.
        condition: what the discriminator was told beside the samples, or None.
    """

    score: Tensor
    x: Tensor
    aux: Any = None
    features: tuple[Tensor, ...] = ()
    condition: Any = None


def run_discriminator(discriminator: nn.Module, x: Tensor, condition: Any = None) -> DiscriminatorOutput:
    """Let ``discriminator`` look at ``x``; a discriminator may return bare scores or a `DiscriminatorOutput`.

    Scores are in float32 at least: in mixed precision losses and penalties are computed from numbers that bfloat16,
    with its 8 bits, would round to steps of 1/128 of their size.
    """
    output = discriminator(x) if condition is None else discriminator(x, condition)
    result = output if isinstance(output, DiscriminatorOutput) else DiscriminatorOutput(score=output, x=x)
    return replace(result, score=at_least_float32(result.score), condition=condition)


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 if it is."""
    return x if x.dtype == torch.float64 else x.float()


@dataclass(slots=True)
class AdversarialTerm:
    """One adversarial pairing: this discriminator, these reals against these fakes.

    Attributes:
        name: the key of its loss, its regularizers and its log entries (``d/<name>``, ``g/<name>``).
        discriminator: the network that judges.
        real, fake: samples of equal shape ``[B, ...]``.
        real_condition, fake_condition: what the discriminator is told beside the sample, or None.
        discriminator_weight: factor on what the discriminator minimizes here, penalties included.
        generator_weight: factor on what the generator minimizes; 0 for pairings that only teach the discriminator, such
            as wrong pairs.
        mismatched: whether both sides are the same samples, and only what the discriminator is told differs: the fake
            side is real samples with conditions that belong to others. Distances between the sides are then between
            conditions, and penalties find no line from one side to the other.
    """

    name: str
    discriminator: nn.Module
    real: Tensor
    fake: Tensor
    real_condition: Any = None
    fake_condition: Any = None
    discriminator_weight: float = 1.0
    generator_weight: float = 1.0
    mismatched: bool = False

    @property
    def trains_generator(self) -> bool:
        """Whether the generator has a part in this."""
        return self.generator_weight != 0

    def discriminate_real(self) -> DiscriminatorOutput:
        """The discriminator's view of the real samples."""
        return run_discriminator(self.discriminator, self.real, self.real_condition)

    def discriminate_fake(self) -> DiscriminatorOutput:
        """The discriminator's view of the fake samples."""
        return run_discriminator(self.discriminator, self.fake, self.fake_condition)

    def with_input_gradients(self, *, real: bool, fake: bool) -> AdversarialTerm:
        """The same term whose samples require grad where asked, so that penalties need no second forward pass."""
        return replace(
            self,
            real=self.real.detach().requires_grad_() if real else self.real,
            fake=self.fake.detach().requires_grad_() if fake else self.fake,
        )


@dataclass(slots=True)
class TermOutputs:
    """A term after its samples were judged.

    ``real`` is None in the generator's turn unless the loss or the model wants to see it there. ``asked`` is the term
    as the model named it, before its samples were made leaves.
    """

    term: AdversarialTerm
    real: DiscriminatorOutput | None
    fake: DiscriminatorOutput
    asked: AdversarialTerm | None = None

    def shares_reals_with(self, term: AdversarialTerm) -> bool:
        """Whether the same discriminator judged the very same reals and conditions here as ``term`` wants judged."""
        asked = self.asked or self.term
        pairs = (
            (asked.discriminator, term.discriminator),
            (asked.real, term.real),
            (asked.real_condition, term.real_condition),
        )
        return all(a is b for a, b in pairs)
