"""The model whose encoder maps data back to the latents' Gaussian, against missing modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    TermOutputs,
    Weight,
)
from gan_zoo.models.with_encoder.bigan import BiGAN


class VEEGAN(BiGAN):
    """A discriminator of pairs (x, F(x)) and (G(z), z), and a reconstruction of latents.

    Srivastava et al. 2017, algorithm 1. The discriminator learns the log-ratio of the pairs'
    densities, and

        L_G = -E D(G(z), z) + w E |z - F(G(z))|^2,   L_F = w E |z - F(G(z))|^2,

    so that modes that G misses cannot be mapped to the Gaussian by an F that inverts G. The first
    term of L_G is that of ``loss=reverse_kl``, the paper's; others work as well. Unlike in BiGAN
    the encoder F does not see the adversarial term. Term: ``latents``.

    Args:
        generator, encoder, discriminator, fusion, latent_dim, prior: as in `BiGAN`.
        latent_weight: w; 1 in the paper.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        latent_weight: Weight = 1.0,
        fusion: str = "concat",
        latent_dim: Count = 50,
        prior: str = "normal",
    ) -> None:
        super().__init__(
            generator,
            encoder,
            discriminator,
            fusion=fusion,
            latent_dim=latent_dim,
            prior=prior,
        )
        self.latent_weight = latent_weight

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        latents = self.latents(self.request_for(batch))
        return [
            AdversarialTerm(
                "joint",
                self.discriminators["main"],
                batch.real,
                fakes["fake"],
                # The encoder does not learn from the discriminator.
                fakes["codes"].detach(),
                latents,
            )
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        latents = self.latents(self.request_for(batch))
        found = self.generators["encoder"](fakes["fake"])
        distance = (latents - found).square().sum(1).mean()
        return {"latents": self.latent_weight * distance}
