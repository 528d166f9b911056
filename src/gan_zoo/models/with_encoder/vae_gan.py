"""The variational autoencoder with a learned similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.comparable_outputs import comparable_outputs, is_augmented
from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    Positive,
    SampleRequest,
    TermOutputs,
    Weight,
    at_least_float32,
    run_discriminator,
)
from gan_zoo.models.base import Model


class VAEGAN(Model):
    """A VAE whose reconstruction error is measured on discriminator features, and a GAN with the
    same decoder.

    Larsen et al. 2016, algorithm 1: the encoder minimizes KL + w_f ||f(x) - f(x~)||^2 / dims, the
    decoder the same distance and the adversarial terms of samples from the prior and of
    reconstructions. Adversarial terms do not reach the encoder. Adversarial terms: ``realism``
    (prior) and ``rebuilt``; loss terms: ``kl`` and ``features``.

    Args:
        generator: the decoder, called with ``latent_dim``.
        encoder: called with ``outputs`` = 2 ``latent_dim``.
        discriminator: makes a discriminator whose output carries features.
        kl: ``(mu, log_variance) -> scalar``.
        latent_dim: size of the latents.
        kl_weight, feature_weight: factors on the terms, >= 0.
        adversarial_weight: factor on each of the two adversarial terms, > 0.
    """

    term_names: ClassVar[tuple[str, ...]] = ("realism", "rebuilt")
    generator_sees_real: ClassVar[bool] = True

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        kl: nn.Module,
        latent_dim: Count = 64,
        kl_weight: Weight = 1e-2,
        feature_weight: Weight = 1.0,
        adversarial_weight: Positive = 0.5,
    ) -> None:
        super().__init__()
        if kl_weight < 0 or feature_weight < 0 or adversarial_weight <= 0:
            raise ValueError(
                "kl_weight and feature_weight must be >= 0 and adversarial_weight > 0, got "
                f"{kl_weight}, {feature_weight} and {adversarial_weight}"
            )

        # Encoder and decoder both belong to the generators, so that one optimizer trains them.
        networks = {
            "main": generator(latent_dim=latent_dim),
            "encoder": encoder(outputs=2 * latent_dim),
        }
        self.generators = nn.ModuleDict(networks)
        self.discriminators = nn.ModuleDict({"main": discriminator()})
        self.latent_dim = latent_dim
        self.kl = kl
        self.kl_weight = kl_weight
        self.feature_weight = feature_weight
        self.adversarial_weight = adversarial_weight

    def generate(self, batch: Batch) -> FakeSamples:
        decoder = self.generators["main"]
        mu, log_variance = at_least_float32(self.generators["encoder"](batch.real)).chunk(2, dim=1)

        # z = mu + sigma e, so that gradients reach the encoder.
        noise = batch.rng.normal("posterior", *mu.shape)
        z = mu + (0.5 * log_variance).exp() * noise
        # What the adversarial term sees: it must not reach the encoder.
        return {
            "fake": decoder(self.latents(self.request_for(batch))),
            "rebuilt": decoder(z.detach()),
            # What the features are taken of: it does reach the encoder.
            "through": decoder(z),
            "mu": mu,
            "log_variance": log_variance,
        }

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        # Samples of the prior, and reconstructions, which are fakes as well.
        discriminator, weight = self.discriminators["main"], self.adversarial_weight
        return [
            AdversarialTerm(
                name,
                discriminator,
                batch.real,
                fakes[key],
                discriminator_weight=weight,
                generator_weight=weight,
            )
            for name, key in (("realism", "fake"), ("rebuilt", "rebuilt"))
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        real = outputs[0].real
        assert real is not None

        # Features of the reconstruction that depends on the encoder, against those of the reals.
        discriminator = self.discriminators["main"]
        if is_augmented(discriminator):
            both = [(batch.real, None), (fakes["through"], None)]
            real, rebuilt = comparable_outputs(discriminator, both, batch.rng.derive("features"))
        else:
            rebuilt = run_discriminator(discriminator, fakes["through"])
        pairs = zip(real.features, rebuilt.features, strict=True)
        gaps = [
            (at_least_float32(theirs) - target.detach()).square().mean() for target, theirs in pairs
        ]
        if not gaps:
            raise ValueError(
                "model=vae_gan needs a discriminator that shows its features, such as dcgan"
            )
        return {
            "kl": self.kl_weight * self.kl(fakes["mu"], fakes["log_variance"]),
            "features": self.feature_weight * sum(gaps[1:], start=gaps[0]),
        }

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
