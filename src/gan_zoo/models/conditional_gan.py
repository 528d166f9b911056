"""The conditional model with one discriminator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, Count, FakeSamples
from gan_zoo.models.gan import GAN


class ConditionalGAN(GAN):
    """Generator and discriminator are told the same condition (Mirza & Osindero 2014, eq. 2).

    The discriminator judges pairs: min E l(D(x, c)) + l(D(G(z, c), c)). How it is told is the network's ``fusion``:
    ``concat`` (Reed et al. 2016) or ``projection`` (Miyato & Koyama 2018).

    Args:
        generator: called with ``latent_dim``, the latents' size plus that of the condition's vectors.
        discriminator: called with ``condition_dim`` and ``fusion``.
        condition: makes an encoder of conditions, one for each player (a
            `gan_zoo.networks.condition_encoders.Condition`).
        fusion: how discriminators are told.
        latent_dim, prior: as in `GAN`.
    """

    term_names: ClassVar[tuple[str, ...]] = ("match",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        condition: Callable[[], Any],
        fusion: str = "concat",
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        encoder = condition()
        outputs: int = encoder.outputs

        def told(latent_dim: int) -> nn.Module:
            return generator(latent_dim=latent_dim + outputs)

        def matcher() -> nn.Module:
            network: nn.Module = condition().told_to(discriminator(condition_dim=outputs, fusion=fusion))
            return network

        super().__init__(told, matcher, latent_dim, prior)
        self.generators["condition"] = encoder
        self.needs = (encoder.need,)
        self.num_requested_labels = encoder.num_classes if encoder.need == "label" else None

    def conditions(self, batch: Batch) -> Tensor:
        """The raw conditions of the batch."""
        raw: Tensor = self.generators["condition"].of(batch)  # type: ignore[operator]
        return raw

    def requested_label(self, batch: Batch) -> Tensor | None:
        """The classes, if conditions are classes."""
        return None if self.num_requested_labels is None else self.conditions(batch)

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.sample(batch, self.generators)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        assert batch.real is not None
        told = self.conditions(batch)
        return [AdversarialTerm("match", self.discriminators["main"], batch.real, fakes["fake"], told, told)]

    def sample(self, batch: Batch, generators: nn.ModuleDict) -> Tensor:
        vectors = generators["condition"](generators["condition"].of(batch))  # type: ignore[operator]
        samples: Tensor = generators["main"](torch.cat([self.latents(batch), vectors], 1))
        return samples
