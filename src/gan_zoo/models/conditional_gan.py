"""The conditional model with one discriminator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, Count, FakeSamples, SampleRequest
from gan_zoo.models.conditioning import conditional_generator
from gan_zoo.models.gan import GAN


class ConditionalGAN(GAN):
    """Generator and discriminator are given the same condition (Mirza & Osindero 2014, eq. 2).

    The discriminator scores pairs: min E l(D(x, c)) + l(D(G(z, c), c)). The condition enters by the
    network's ``fusion``: ``projection`` (Miyato & Koyama 2018) or ``concat`` (Reed et al. 2016).

    Args:
        generator: made by `conditional_generator` with the size of the condition's vectors.
        discriminator: called with ``condition_dim`` and ``fusion``.
        condition: makes an encoder of conditions, one for each side (a
            `gan_zoo.networks.condition_encoders.Condition`).
        fusion: how the condition enters the discriminator.
        latent_dim, prior: as in `GAN`.
    """

    term_names: ClassVar[tuple[str, ...]] = ("match",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        condition: Callable[[], Any],
        fusion: str = "projection",
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        encoder = condition()
        outputs: int = encoder.outputs

        def made_generator(latent_dim: int) -> nn.Module:
            return conditional_generator(generator, latent_dim, outputs)

        def conditional_discriminator() -> nn.Module:
            network: nn.Module = condition().wrap(
                discriminator(condition_dim=outputs, fusion=fusion)
            )
            return network

        super().__init__(made_generator, conditional_discriminator, latent_dim, prior)

        # The encoder belongs to the generators, and decides what batches must hold.
        self.generators["condition"] = encoder
        self.needs = (encoder.need,)
        self.num_requested_labels = encoder.num_classes if encoder.need == "label" else None

    def conditions(self, given: Batch | SampleRequest) -> Tensor:
        """The raw conditions of a batch or of a request."""
        raw: Tensor = self.generators["condition"].of(given)  # type: ignore[operator]
        return raw

    def requested_label(self, request: SampleRequest) -> Tensor | None:
        """The classes, if conditions are classes."""
        return None if self.num_requested_labels is None else self.conditions(request)

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        # Reals and fakes are scored with the same conditions.
        condition = self.conditions(batch)
        return [
            AdversarialTerm(
                "match",
                self.discriminators["main"],
                batch.real,
                fakes["fake"],
                condition,
                condition,
            )
        ]

    def generator_inputs(
        self, request: SampleRequest, generators: nn.ModuleDict
    ) -> tuple[Tensor, ...]:
        return self.latents(request), generators["condition"](self.conditions(request))
