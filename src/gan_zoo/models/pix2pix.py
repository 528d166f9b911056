"""The paired translation model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, FakeSamples, LossTerms, Shape, TermOutputs, Weight
from gan_zoo.models.base import Model, require_pictures


class Pix2Pix(Model):
    """A translator learns from pairs (a, b); the discriminator judges b beside a (Isola et al. 2017, eq. 4).

    L_G = adv(D, G(a) | a) + w |G(a) - b|. One term ``realism``, told a; term ``reconstruction``.

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
        a_shape = require_pictures(a_shape, "model=pix2pix")
        if reconstruction_weight < 0:
            raise ValueError(f"reconstruction_weight must be >= 0, got {reconstruction_weight}")
        self.generators = nn.ModuleDict({"main": generator(in_shape=a_shape, out_shape=b_shape)})
        self.discriminators = nn.ModuleDict({"main": discriminator(condition_channels=a_shape[0])})
        self.reconstruction, self.reconstruction_weight = reconstruction, reconstruction_weight

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.generators["main"](batch.condition)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        assert batch.real is not None
        a = batch.condition
        return [AdversarialTerm("realism", self.discriminators["main"], batch.real, fakes["fake"], a, a)]

    def generator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        return {"reconstruction": self.reconstruction_weight * self.reconstruction(fakes["fake"], batch.real)}

    def sample(self, batch: Batch, generators: nn.ModuleDict) -> Tensor:
        with batch.rng.as_default():  # of dropout that stays on
            samples: Tensor = generators["main"](batch.condition)
        return samples

    def views(self, batch: Batch, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input and output, and the target where it is known."""
        assert batch.condition is not None
        views = {"input": batch.condition, "sample": self.sample(batch, generators)}
        return views if batch.real is None else views | {"target": batch.real}
