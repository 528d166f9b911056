"""The paired translation model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    FakeSamples,
    LossTerms,
    SampleRequest,
    Shape,
    TermOutputs,
    Weight,
)
from gan_zoo.models.base import Model, require_images


class Pix2Pix(Model):
    """A translator learns from pairs (a, b); the discriminator scores b together with a (Isola et
    al. 2017, eq. 4).

    L_G = adv(D, G(a) | a) + w |G(a) - b|. Adversarial term ``realism``, conditioned on a; loss term
    ``reconstruction``.

    Args:
        generator: makes a translator, called with ``in_shape`` and ``out_shape``.
        discriminator: makes a discriminator, called with ``condition_channels``.
        reconstruction: distance ``(output, target) -> scalar``.
        a_shape, b_shape: ``[C, H, W]`` of inputs and targets.
        reconstruction_weight: w (100 in the paper).
    """

    term_names: ClassVar[tuple[str, ...]] = ("realism",)
    needs = ("image",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        reconstruction_weight: Weight = 100.0,
    ) -> None:
        super().__init__()
        a_shape = require_images(a_shape, "model=pix2pix")
        if reconstruction_weight < 0:
            raise ValueError(f"reconstruction_weight must be >= 0, got {reconstruction_weight}")

        # The discriminator sees the input's channels, too.
        self.generators = nn.ModuleDict({"main": generator(in_shape=a_shape, out_shape=b_shape)})
        self.discriminators = nn.ModuleDict({"main": discriminator(condition_channels=a_shape[0])})
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.generators["main"](batch.condition)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        a = batch.condition
        return [
            AdversarialTerm("realism", self.discriminators["main"], batch.real, fakes["fake"], a, a)
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        return {
            "reconstruction": self.reconstruction_weight
            * self.reconstruction(fakes["fake"], batch.real)
        }

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        with request.rng.as_default():  # for dropout at test time
            samples: Tensor = generators["main"](request.condition)
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input and output, and the target where it is known."""
        assert request.condition is not None
        visuals = {"input": request.condition, "sample": self.sample(request, generators)}
        return visuals if request.target is None else visuals | {"target": request.target}
