"""What models, networks, losses and regularizers exchange: batches, requests, outputs and named
terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Protocol, TypeVar, runtime_checkable

import torch
from annotated_types import Ge, Gt, Le, Len, Lt, MinLen
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
"""How many of something that there may be none of: an integer >= 0."""

PathText = Annotated[str, MinLen(1)]
"""Where a file or a folder is."""

ImageSize = Count | Annotated[Sequence[Count], Len(2, 2)]
"""The side of square images in pixels, or their height and width."""

Shape = Annotated[Sequence[Count], MinLen(1)]
"""The shape of a sample or a condition."""

LossTerms = dict[str, Tensor]
"""Named scalars: summed for the backward pass and logged as they are."""

FakeSamples = dict[str, Tensor]
"""The generators' outputs for one batch, by name (``"fake"``, or one entry for each direction of a
translation).
"""

OnDevice = TypeVar("OnDevice", "Batch", "SampleRequest")


def height_and_width(image_size: ImageSize) -> tuple[int, int]:
    """Both sides of images."""
    if isinstance(image_size, int):
        return image_size, image_size
    height, width = image_size
    return height, width


def with_prefix(prefix: str, terms: LossTerms) -> LossTerms:
    """``terms`` under log keys ``prefix/name``."""
    return {f"{prefix}/{name}": term for name, term in terms.items()}


def total_loss(terms: LossTerms) -> Tensor:
    """The sum of at least one term."""
    first, *rest = terms.values()
    return sum(rest, start=first)


def to_device(data: OnDevice, device: torch.device) -> OnDevice:
    """``data`` with every tensor, and the random numbers to come, on ``device``."""
    moved: dict[str, Any] = {"rng": data.rng.to(device)}
    for field in fields(data):
        value = getattr(data, field.name)
        if isinstance(value, Tensor):
            moved[field.name] = value.to(device, non_blocking=True)
    return replace(data, **moved)


@dataclass(slots=True)
class Batch:
    """One process's part of a global batch of data.

    Attributes:
        size: number of samples here, B.
        rng: the random numbers of the step; the only source that is the same on any number of
            processes.
        real: real samples, ``[B, C, H, W]`` in [-1, 1], or ``[B, D]`` for vector data.
        label: class numbers ``[B]`` (int64), if the data has them.
        condition: what comes with each sample besides its class: an image ``[B, C, H, W]`` in [-1,
            1], a vector ``[B, D]`` or token numbers ``[B, L]`` (int64). For unpaired domains,
            samples of the other one.
        mismatched_condition: conditions of other samples, each guaranteed to differ from the
            matching one.
        category: numbers of the values by which rows of a table were drawn, ``[B]``.
        labeled_real, labeled_label: an independent draw of B samples whose labels training knows
            (`data.labeled`), and these labels ``[B]``, for models that need them.
    """

    size: int
    rng: StepRNG
    real: Tensor
    label: Tensor | None = None
    condition: Tensor | None = None
    mismatched_condition: Tensor | None = None
    category: Tensor | None = None
    labeled_real: Tensor | None = None
    labeled_label: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return to_device(self, device)

    def split(self, count: int) -> list[Batch]:
        """``count`` equal parts, with the random numbers that as many processes would have.

        Raises:
            ValueError: if the samples cannot be divided.
        """
        if count == 1:
            return [self]
        if self.size % count:
            raise ValueError(
                f"accumulate must divide the {self.size} samples of a process, got {count}"
            )

        # Consecutive samples, as several processes would have them.
        size = self.size // count
        parts = []
        for number in range(count):
            rows = slice(number * size, (number + 1) * size)
            tensors: dict[str, Any] = {
                field.name: value[rows]
                for field in fields(self)
                if isinstance(value := getattr(self, field.name), Tensor)
            }
            parts.append(Batch(size, self.rng.part(number, count), **tensors))
        return parts


@dataclass(slots=True)
class SampleRequest:
    """A request for generated samples. The model draws what is None at random.

    Attributes:
        size: number of samples, B.
        rng: the random numbers of the request.
        latents: ``[B, latent_dim]``.
        label: classes, or values of a categorical code, ``[B]`` (int64).
        condition: as in `Batch`.
        codes: continuous codes ``[B, num_continuous_codes]`` in (-1, 1).
        target: for display, the samples that belong to the conditions, where they are known.
        unrelated: for display, samples that do not belong to the conditions, where none are known
            that do.
    """

    size: int
    rng: StepRNG
    latents: Tensor | None = None
    label: Tensor | None = None
    condition: Tensor | None = None
    codes: Tensor | None = None
    target: Tensor | None = None
    unrelated: Tensor | None = None

    def to(self, device: torch.device) -> SampleRequest:
        """The same request on ``device``."""
        return to_device(self, device)

    def select(self, rows: Tensor | slice) -> SampleRequest:
        """The same request for these rows; latents and images for display are left out."""
        label, condition, codes = (
            None if part is None else part[rows]
            for part in (self.label, self.condition, self.codes)
        )
        size = len(range(self.size)[rows]) if isinstance(rows, slice) else len(rows)
        return SampleRequest(size, self.rng, label=label, condition=condition, codes=codes)


@dataclass(slots=True)
class DiscriminatorOutput:
    """The output of a discriminator for samples.

    Attributes:
        score: raw scores, ``[B]`` or one for each patch ``[B, ...]``; never squashed.
        x: the input. It requires grad when a regularizer needs input gradients.
        aux: outputs of further heads (class logits, a reconstruction, codes), if there are any.
        features: intermediate activations, for terms that compare them.
        condition: what the discriminator was conditioned on, or None.
        parts: outputs of several scales or heads, one for each; ``score`` holds all of their
            scores, ``[B, N]``, and losses and accuracies are means over the parts.
        local: activations ``[B, C, H, W]`` of places, before the last convolutions; only where a
            model asks a network to keep them.
        direction: for a sliced discriminator (SAN), the scores ``[B]`` as functions of the last
            layer's direction alone.
    """

    score: Tensor
    x: Tensor
    aux: Any = None
    features: tuple[Tensor, ...] = ()
    condition: Any = None
    parts: tuple[DiscriminatorOutput, ...] = ()
    local: Tensor | None = None
    direction: Tensor | None = None


def run_discriminator(
    discriminator: nn.Module, x: Tensor, condition: Any = None
) -> DiscriminatorOutput:
    """The output of ``discriminator`` for ``x``; a network may return bare scores or a
    `DiscriminatorOutput`.

    Scores are in float32 at least: in mixed precision losses and penalties are computed from
    numbers that bfloat16, with its 8 bits, would round to steps of 1/128 of their size.
    """
    output = discriminator(x) if condition is None else discriminator(x, condition)
    # A network of one's own may return nothing but scores.
    result = (
        output
        if isinstance(output, DiscriminatorOutput)
        else DiscriminatorOutput(score=output, x=x)
    )

    # Losses take logarithms and exponentials of scores: not in half precision.
    parts = tuple(replace(part, score=at_least_float32(part.score)) for part in result.parts)
    direction = None if result.direction is None else at_least_float32(result.direction)
    return replace(
        result,
        score=at_least_float32(result.score),
        condition=condition,
        parts=parts,
        direction=direction,
    )


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 if it is."""
    return x if x.dtype == torch.float64 else x.float()


@dataclass(slots=True)
class AdversarialTerm:
    """One adversarial pairing: this discriminator, these reals against these fakes.

    Attributes:
        name: the key of its loss, its regularizers and its log entries (``d/<name>``,
            ``g/<name>``).
        discriminator: the network that scores both sides.
        real, fake: samples of equal shape ``[B, ...]``.
        real_condition, fake_condition: what the discriminator is conditioned on, or None.
        discriminator_weight: factor on what the discriminator minimizes here, penalties included.
        generator_weight: factor on what the generator minimizes; 0 for pairings that train the
            discriminator only, such as mismatched pairs.
        mismatched: whether both sides are the same samples, and only their conditions differ: the
            fake side is real samples with conditions that belong to others. Distances between the
            sides are then between conditions, and penalties find no line from one side to the
            other.
        swapped: whether the generators produce both sides, as in joint discriminators (BiGAN): they
            minimize the discriminator's loss with the sides swapped, and gradients also flow
            through the real side.
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
    swapped: bool = False

    @property
    def trains_generator(self) -> bool:
        """Whether the generator minimizes a part of this."""
        return self.generator_weight != 0

    def discriminate_real(self) -> DiscriminatorOutput:
        """The discriminator's output for the real samples."""
        return run_discriminator(self.discriminator, self.real, self.real_condition)

    def discriminate_fake(self) -> DiscriminatorOutput:
        """The discriminator's output for the fake samples."""
        return run_discriminator(self.discriminator, self.fake, self.fake_condition)

    def with_input_gradients(self, *, real: bool, fake: bool) -> AdversarialTerm:
        """The same term with samples that require grad as given, so that penalties need no second
        forward pass.
        """
        return replace(
            self,
            real=self.real.detach().requires_grad_() if real else self.real,
            fake=self.fake.detach().requires_grad_() if fake else self.fake,
        )


@dataclass(slots=True)
class TermOutputs:
    """A term and the discriminator's outputs for it.

    Attributes:
        term: the term that was evaluated.
        real: None in the generator step, unless the loss or the model uses it there.
        fake: the output for the fakes.
        requested: the term as the model made it, before its samples were made leaves.
    """

    term: AdversarialTerm
    real: DiscriminatorOutput | None
    fake: DiscriminatorOutput
    requested: AdversarialTerm | None = None

    def shares_reals_with(self, term: AdversarialTerm) -> bool:
        """Whether the discriminator, the reals and their conditions are the very same objects in
        ``term``.
        """
        requested = self.requested or self.term
        pairs = (
            (requested.discriminator, term.discriminator),
            (requested.real, term.real),
            (requested.real_condition, term.real_condition),
        )
        return all(a is b for a, b in pairs)


@runtime_checkable
class MappedGenerator(Protocol):
    """A generator with a mapping and a synthesis part, as StyleGAN's:
    ``synthesis(mapping(latents))``.

    Attributes:
        num_styles: L, the number of style inputs of the synthesis.
        mean_style: the running mean of mapped latents, ``[D]``, towards which styles are truncated.
    """

    num_styles: int
    mean_style: Tensor

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """Styles ``[B, L, D]``, the same for each of the L inputs of the synthesis."""
        ...

    def synthesis(self, styles: Tensor) -> Tensor:
        """Samples ``[B, ...]`` of styles ``[B, L, D]``."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """A model with an encoder, an approximate inverse of its generator."""

    def encode(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """Codes ``[B, latent_dim]`` of samples ``x``; the mean of a stochastic encoder."""
        ...

    def reconstruct(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The generator's samples ``[B, ...]`` of the codes of ``x``."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """A model whose discriminator is also a classifier of samples."""

    def class_logits(self, x: Tensor) -> Tensor:
        """Logits ``[B, K]`` of the classes of samples ``x``."""
        ...


@runtime_checkable
class Clusters(Protocol):
    """A model that assigns samples to clusters."""

    def predict_category(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """Cluster numbers ``[B]`` (int64) of samples ``x``."""
        ...
