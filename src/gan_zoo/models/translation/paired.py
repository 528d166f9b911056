"""What models that learn from pairs of images share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    FakeSamples,
    LossTerms,
    SampleRequest,
    TermOutputs,
    Weight,
)
from gan_zoo.models.base import Model


class PairedTranslation(Model):
    """A translator G of inputs a, with a distance of its outputs from their targets b.

    L_G = w_a adv(D, G(a)) + w_r d(G(a), b). Adversarial term ``realism``, loss term
    ``reconstruction``.

    Args:
        translator: inputs to outputs.
        discriminator: scores outputs, given the inputs if ``conditional``.
        reconstruction: d, ``(output, target) -> scalar``.
        reconstruction_weight: w_r.
        adversarial_weight: w_a.
        conditional: whether the discriminator sees the input, too.

    Raises:
        ValueError: for a weight below 0.
    """

    term_names: ClassVar[tuple[str, ...]] = ("realism",)
    needs = ("image",)

    def __init__(
        self,
        translator: nn.Module,
        discriminator: nn.Module,
        reconstruction: nn.Module,
        reconstruction_weight: Weight,
        adversarial_weight: Weight = 1.0,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        for name, weight in (
            ("reconstruction_weight", reconstruction_weight),
            ("adversarial_weight", adversarial_weight),
        ):
            if weight < 0:
                raise ValueError(f"{name} must be >= 0, got {weight}")
        self.generators = nn.ModuleDict({"main": translator})
        self.discriminators = nn.ModuleDict({"main": discriminator})
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight
        self.adversarial_weight = adversarial_weight
        self.conditional = conditional

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.generators["main"](batch.condition)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        a = batch.condition if self.conditional else None
        discriminator = self.discriminators["main"]
        weight = self.adversarial_weight
        return [
            AdversarialTerm(
                "realism", discriminator, batch.real, fakes["fake"], a, a, generator_weight=weight
            )
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        distance = self.reconstruction(fakes["fake"], batch.real)
        return {"reconstruction": self.reconstruction_weight * distance}

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        with request.rng.as_default():  # for dropout at test time
            samples: Tensor = generators["main"](request.condition)
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input and output, and the target where it is known."""
        assert request.condition is not None
        visuals = {"input": request.condition, "sample": self.sample(request, generators)}
        return visuals if request.target is None else visuals | {"target": request.target}
