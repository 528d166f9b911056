"""The variational autoencoder, the baseline without a discriminator."""

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
    at_least_float32,
)
from gan_zoo.models.base import Model


class VAE(Model):
    """An encoder and a decoder; both are trained by the generator's optimizer (Kingma & Welling
    2014, eq. 10).

    LossTerms: ``reconstruction`` of x from z = mu + sigma e, and ``kl``, KL(N(mu, sigma^2) || N(0,
    1)) per sample times `kl_weight`. For a Gaussian decoder of variance v, the weight is v times 2
    / (number of dimensions) if the reconstruction is the mean squared error.

    Args:
        generator: the decoder, ``[B, latent_dim] -> [B, *sample_shape]``, called with
            ``latent_dim``.
        encoder: ``[B, *sample_shape] -> [B, outputs]``, called with ``outputs`` = 2 ``latent_dim``.
        reconstruction: distance ``(reconstructed, target) -> scalar``.
        kl: ``(mu, log_variance) -> scalar``.
        latent_dim: size of the latents.
        kl_weight: beta, >= 0.
        discriminator: must be None.
    """

    term_names: ClassVar[tuple[str, ...]] = ()
    name_of_sample: ClassVar[str | None] = None

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        reconstruction: nn.Module,
        kl: nn.Module,
        latent_dim: Count = 64,
        kl_weight: Weight = 1e-3,
        discriminator: None = None,
    ) -> None:
        super().__init__()
        if discriminator is not None:
            raise ValueError(
                "model=vae has no discriminator: use discriminator=none, and a loss that does not"
                " bring a discriminator"
            )
        if kl_weight < 0:
            raise ValueError(f"kl_weight must be >= 0, got {kl_weight}")

        # Encoder and decoder both belong to the generators, so that one optimizer trains them.
        self.latent_dim = latent_dim
        self.kl_weight = kl_weight
        networks = {
            "main": generator(latent_dim=latent_dim),
            "encoder": encoder(outputs=2 * latent_dim),
        }
        self.generators = nn.ModuleDict(networks)
        self.discriminators = nn.ModuleDict()
        self.reconstruction = reconstruction
        self.kl = kl

    def generate(self, batch: Batch) -> FakeSamples:
        mu, log_variance = at_least_float32(self.generators["encoder"](batch.real)).chunk(2, dim=1)

        # z = mu + sigma e, so that gradients reach the encoder.
        noise = batch.rng.normal("posterior", *mu.shape)
        latents = mu + (0.5 * log_variance).exp() * noise
        return {"rebuilt": self.generators["main"](latents), "mu": mu, "log_variance": log_variance}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        return []

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        kl = self.kl_weight * self.kl(fakes["mu"], fakes["log_variance"])
        return {"reconstruction": self.reconstruction(fakes["rebuilt"], batch.real), "kl": kl}

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        samples: Tensor = generators["main"](self.latents(request))
        return samples

    def encode(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The mean mu(x) of the posterior, ``[B, latent_dim]``."""
        mu, _ = at_least_float32(generators["encoder"](x)).chunk(2, dim=1)
        return mu

    def reconstruct(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The decoder's samples ``[B, ...]`` of the mean codes."""
        samples: Tensor = generators["main"](self.encode(x, generators))
        return samples
