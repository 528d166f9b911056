"""The unconditional model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, Count, FakeSamples, SampleRequest
from gan_zoo.models.base import Model

PRIORS = ("normal", "uniform")


class GAN(Model):
    """One generator against one discriminator (Goodfellow et al. 2014, algorithm 1); DCGAN is this
    with its networks.

    Args:
        generator: makes a network ``[B, latent_dim] -> [B, *sample_shape]``, called with
            ``latent_dim``.
        discriminator: makes a discriminator of samples.
        latent_dim: size of the latents.
        prior: ``normal`` for N(0, 1), ``uniform`` for U(-1, 1), in every latent dimension.
    """

    term_names: ClassVar[tuple[str, ...]] = ("realism",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be >= 1, got {latent_dim}")
        check_prior(prior)
        self.latent_dim = latent_dim
        self.prior = prior
        self.generators = nn.ModuleDict({"main": generator(latent_dim=latent_dim)})
        self.discriminators = nn.ModuleDict({"main": discriminator()})

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.sample(self.request_for(batch), self.generators)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        return [AdversarialTerm("realism", self.discriminators["main"], batch.real, fakes["fake"])]

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        samples: Tensor = generators["main"](*self.generator_inputs(request, generators))
        return samples


def check_prior(prior: str) -> None:
    """Raise `ValueError` unless there is a distribution of this name."""
    if prior not in PRIORS:
        raise ValueError(f"prior must be one of {', '.join(PRIORS)}, got {prior!r}")
