"""The contract of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    FakeSamples,
    LossTerms,
    SampleRequest,
    TermOutputs,
)

Conditioning = Literal["none", "class", "text", "vector", "image", "domain"]
"""What a model's samples are conditioned on: ``image`` belongs to the sample, ``domain`` is an
unpaired image.
"""

CONDITIONING: dict[str, Conditioning] = {
    "label": "class",
    "text": "text",
    "vector": "vector",
    "image": "image",
    "domain": "domain",
}


def require_images(shape: Sequence[int] | None, model: str) -> Sequence[int]:
    """The shape of condition images, if the data have any."""
    if shape is None or len(shape) != 3:
        raise ValueError(
            f"{model} needs data of two domains of images (data=openmoji_lines or paired_folder,"
            " for cyclegan also unpaired_folder): data.condition_shape must be [C, H, W], got"
            f" {shape}"
        )
    return shape


class Model(nn.Module):
    """Owns the networks, generates the fakes, names the adversarial terms and adds loss terms of
    its own.

    A subclass fills `generators` and `discriminators` in its constructor and implements `generate`,
    `adversarial_terms` and `sample`. Nothing here knows optimizers, backward passes or Lightning.
    """

    term_names: ClassVar[tuple[str, ...]]
    """The names `adversarial_terms` uses: each gets its own copy of the loss and of every
    regularizer.
    """

    mean_of_samples: bool = True
    """Whether the model's own terms of a batch are means of those of its parts: gradients can be
    accumulated.
    """

    generator_sees_real: ClassVar[bool] = False
    """Whether `generator_terms` uses the discriminators' outputs for the reals."""

    compares_samples: ClassVar[bool] = True
    """Whether `sample` makes what the discriminators compare. If not, as where they see
    spectrograms of sounds, regularizers cannot compare samples with fakes.
    """

    needs_double_backward: ClassVar[bool] = False
    """Whether its own terms differentiate the networks twice, which are then not compiled."""

    name_of_sample: ClassVar[str | None] = "fake"
    """Which of the fakes that `generate` makes is what `sample` makes of the same latents."""

    needs_high_is_real: ClassVar[bool] = False
    """Whether it takes high scores for those of reals (`gan_zoo.losses.base.Loss.high_is_real`)."""

    needs: tuple[str, ...] = ()
    """What batches must hold besides samples: ``label``, ``text``, ``vector``, ``image``,
    ``domain``, ``mismatched``, ``labeled``, ``category``.

    ``image`` is an image that belongs to the sample, ``domain`` any image of another domain;
    ``mismatched`` stands for conditions of other samples, ``labeled`` for further samples whose
    labels are known, ``category`` for rows that are drawn by a value of one of their columns.
    """

    allows_unlabeled: ClassVar[bool] = False
    """Whether batches may hold samples without a label, which is then -1 (`data.labeled`)."""

    latent_dim: int | None = None
    """Size of the latents; None for models without latents."""

    prior: str = "normal"
    """Distribution of each latent number: ``normal`` for N(0, 1), ``uniform`` for U(-1, 1)."""

    num_requested_labels: int | None = None
    """Number of classes, or of values of a categorical code, that samples can be requested for."""

    num_continuous_codes: int = 0
    """Number of continuous codes that samples can be requested for."""

    generators: nn.ModuleDict
    """All networks that the generator's optimizer trains; `sample` is given their averaged copy."""

    discriminators: nn.ModuleDict
    """All networks that the discriminator's optimizer trains."""

    @property
    def conditioning(self) -> Conditioning:
        """What samples are conditioned on, by what batches must hold."""
        return next((CONDITIONING[need] for need in self.needs if need in CONDITIONING), "none")

    @property
    def needs_conditions(self) -> bool:
        """Whether samples need more than latents and classes, which only data can give."""
        return any(CONDITIONING.get(need, "class") != "class" for need in self.needs)

    @property
    def translates(self) -> bool:
        """Whether images of any size can be translated: samples are functions of an image of
        another domain, without latents unless the model says otherwise.
        """
        return self.conditioning in ("image", "domain") and self.latent_dim is None

    def on_progress(self, images_seen: int) -> None:
        """Set what changes with the images seen, before each step; a pure function of their number,
        so that resumed runs agree.
        """

    def measure(self, blocks: Iterable[Tensor]) -> None:
        """Set what depends on the training data as a whole, such as their mean.

        Called once before training, on every process alike. The results are buffers: those of a
        resumed run are from its checkpoint, and samples and exports need them in `generators`.

        Args:
            blocks: all samples ``[B, ...]`` as in batches, read only if they are iterated over.
        """

    def request_for(self, batch: Batch) -> SampleRequest:
        """What the generators are conditioned on in training: the labels and conditions of the
        batch.

        A model that draws its own classes or codes leaves them out.
        """
        return SampleRequest(batch.size, batch.rng, label=batch.label, condition=batch.condition)

    def evaluation_request(self, request: SampleRequest) -> SampleRequest:
        """What evaluations request, given labels and conditions of held-out data: just these.

        A model that changes the class of an image asks for other classes.
        """
        return request

    def latents(self, request: SampleRequest) -> Tensor:
        """The requested latents, else new ones from the prior, ``[B, latent_dim]``."""
        assert self.latent_dim is not None, "a model without latents has no prior"
        if request.latents is not None:
            return request.latents
        if self.prior == "uniform":
            return 2 * request.rng.uniform("latents", request.size, self.latent_dim) - 1
        return request.rng.normal("latents", request.size, self.latent_dim)

    def generate(self, batch: Batch) -> FakeSamples:
        """Run the generators, once for the discriminator step and the generator step."""
        raise NotImplementedError

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        """The pairs of reals and fakes that the discriminators compare."""
        raise NotImplementedError

    def replay(self, batch: Batch, fakes: FakeSamples) -> FakeSamples:
        """The fakes for the discriminator step, given detached new ones: a pool of past fakes is
        mixed in here.
        """
        return fakes

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        """What the discriminators minimize in addition to the adversarial terms (classification,
        codes).
        """
        return {}

    @property
    def sides_may_mix(self) -> bool:
        """Whether fakes may be put among the reals of a term, and reals among the fakes: not where
        further terms know which is which.
        """
        return type(self).discriminator_terms is Model.discriminator_terms

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        """What the generators minimize in addition to the adversarial terms (cycle, identity,
        codes).

        ``outputs`` are of the terms that train the generators; ``real`` is scored if
        `generator_sees_real`.
        """
        return {}

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """Samples ``[B, ...]`` in [-1, 1] for a request, from these (usually averaged)
        generators.
        """
        raise NotImplementedError

    def generator_inputs(
        self, request: SampleRequest, generators: nn.ModuleDict
    ) -> tuple[Tensor, ...]:
        """The inputs of ``generators["main"]``: latents, then the condition's vectors if there are
        any.
        """
        return (self.latents(request),)

    def requested_label(self, request: SampleRequest) -> Tensor | None:
        """The class or categorical code of each sample, ``[B]``: as requested, else as drawn."""
        return None

    def requested_codes(self, request: SampleRequest) -> Tensor | None:
        """The continuous codes of each sample, ``[B, num_continuous_codes]``: as requested, else as
        drawn.
        """
        return None

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Images to display side by side, by name: the sample, and its input and target where there
        are any.
        """
        return {"sample": self.sample(request, generators)}
