"""The contract of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, FakeSamples, LossTerms, TermOutputs


def require_pictures(shape: Sequence[int] | None, model: str) -> Sequence[int]:
    """The shape of condition pictures, if the data have any."""
    if shape is None or len(shape) != 3:
        raise ValueError(
            f"{model} needs data of two domains of pictures (data=openmoji_lines or paired_folder, for cyclegan also "
            f"unpaired_folder): data.condition_shape must be [C, H, W], got {shape}"
        )
    return shape


class Model(nn.Module):
    """Who plays on what data: owns the networks, makes the fakes, names the terms, adds terms of its own.

    A subclass fills `generators` and `discriminators` in its constructor and implements `generate`, `adversarial_terms`
    and `sample`. Nothing here knows optimizers, backward passes or Lightning.
    """

    term_names: ClassVar[tuple[str, ...]]
    """The names `adversarial_terms` uses: each gets its own copy of the loss and of every regularizer."""

    generator_sees_real: ClassVar[bool] = False
    """Whether `generator_terms` uses the discriminators' view of the reals."""

    needs: tuple[str, ...] = ()
    """What batches must bring beside samples: ``label``, ``text``, ``image``, ``vector``; ``wrong`` conditions, too.

    ``image`` is a picture that belongs to the sample, ``domain`` a picture of another domain, whichever.
    """

    num_requested_labels: int | None = None
    """Classes or codes that the generator can be asked for, if it can."""

    generators: nn.ModuleDict
    """All networks the generator's optimizer trains; their averaged copy is what `sample` is given."""

    discriminators: nn.ModuleDict
    """All networks the discriminator's optimizer trains."""

    def generate(self, batch: Batch) -> FakeSamples:
        """Run the generators once for both players' turns."""
        raise NotImplementedError

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        """The adversarial pairings of this batch."""
        raise NotImplementedError

    def replay(self, batch: Batch, fakes: FakeSamples) -> FakeSamples:
        """The fakes the discriminators get to see, given detached new ones: a pool of past fakes would mix here."""
        return fakes

    def discriminator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        """What the discriminators minimize beside their terms (classification, codes)."""
        return {}

    def generator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        """What the generators minimize beside their terms (cycle, identity, codes).

        ``outputs`` are of the terms that train the generators; ``real`` is scored if `generator_sees_real`.
        """
        return {}

    def sample(self, batch: Batch, generators: nn.ModuleDict) -> Tensor:
        """Samples ``[B, ...]`` in [-1, 1] for pictures and scores, from these (usually averaged) generators."""
        raise NotImplementedError

    def requested_label(self, batch: Batch) -> Tensor | None:
        """The class or code that `sample` asks for, ``[B]``; a batch without samples gets its labels."""
        return None

    def views(self, batch: Batch, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """What a viewer sees side by side, by name: the sample, and what it was made from where that is a picture."""
        return {"sample": self.sample(batch, generators)}
