"""The autoencoder whose codes a discriminator compares with the prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    TermOutputs,
    Weight,
)
from gan_zoo.models.base import Model
from gan_zoo.models.gan import check_prior


class AAE(Model):
    """An autoencoder whose codes are to be distributed like the prior (Makhzani et al. 2016,
    section 2).

    With an encoder E, a decoder G and a discriminator D of latents, whose reals are those of the
    prior,

        L_D = l_D(D(z), D(E(x))),   L_E,G = w_r d(G(E(x)), x) + w_a l_G(D(E(x))),   z ~ p(z).

    The adversarial term does not reach the decoder. Both are trained in one step; in the paper a
    reconstruction step and an adversarial step take turns. Samples are G(z). Adversarial term:
    ``prior``; loss term: ``reconstruction``.

    Args:
        generator: the decoder, ``[B, latent_dim] -> [B, *sample_shape]``, called with
            ``latent_dim``.
        encoder: ``[B, *sample_shape] -> [B, outputs]``, called with ``outputs`` = ``latent_dim``.
        latent_discriminator: makes the discriminator of latents ``[B, latent_dim]``, called with
            ``sample_shape``. It is not that of the config's group, so that no augmentation of
            images wraps it.
        reconstruction: d, ``(reconstructed, target) -> scalar``.
        reconstruction_weight, adversarial_weight: w_r and w_a.
        latent_dim, prior: as in `gan_zoo.models.gan.GAN`.
        discriminator: must be None, as no discriminator sees samples.
    """

    term_names: ClassVar[tuple[str, ...]] = ("prior",)
    name_of_sample: ClassVar[str | None] = None

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        latent_discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        reconstruction_weight: Weight = 1.0,
        adversarial_weight: Weight = 0.1,
        latent_dim: Count = 8,
        prior: str = "normal",
        discriminator: None = None,
    ) -> None:
        super().__init__()
        if discriminator is not None:
            raise ValueError(
                "model=aae has a discriminator of latents alone, model.latent_discriminator: use"
                " discriminator=none, and a loss that does not bring a discriminator"
            )
        if reconstruction_weight < 0 or adversarial_weight < 0:
            raise ValueError(
                "reconstruction_weight and adversarial_weight must be >= 0, got"
                f" {reconstruction_weight} and {adversarial_weight}"
            )
        check_prior(prior)

        # Encoder and decoder both belong to the generators, so that one optimizer trains them.
        networks = {
            "main": generator(latent_dim=latent_dim),
            "encoder": encoder(outputs=latent_dim),
        }
        self.generators = nn.ModuleDict(networks)
        self.discriminators = nn.ModuleDict(
            {"main": latent_discriminator(sample_shape=[latent_dim])}
        )
        self.latent_dim = latent_dim
        self.prior = prior
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight
        self.adversarial_weight = adversarial_weight

    def generate(self, batch: Batch) -> FakeSamples:
        codes = self.encode(batch.real, self.generators)
        return {"codes": codes, "rebuilt": self.generators["main"](codes)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        # The codes are to look like latents of the prior, so these are the reals.
        latents = self.latents(self.request_for(batch))
        discriminator, weight = self.discriminators["main"], self.adversarial_weight
        return [
            AdversarialTerm(
                "prior", discriminator, latents, fakes["codes"], generator_weight=weight
            )
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        distance = self.reconstruction(fakes["rebuilt"], batch.real)
        return {"reconstruction": self.reconstruction_weight * distance}

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        samples: Tensor = generators["main"](self.latents(request))
        return samples

    def encode(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The codes E(x), ``[B, latent_dim]``."""
        codes: Tensor = generators["encoder"](x)
        return codes

    def reconstruct(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The decoder's samples ``[B, ...]`` of the codes."""
        samples: Tensor = generators["main"](self.encode(x, generators))
        return samples
