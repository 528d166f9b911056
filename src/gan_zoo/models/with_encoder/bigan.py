"""The model with a learned inverse of the generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, Count, FakeSamples, SampleRequest
from gan_zoo.models.gan import GAN


class BiGAN(GAN):
    """A discriminator of pairs (x, E(x)) and (G(z), z); generator and encoder want it to confuse
    them.

    Donahue et al. 2017, eq. 3; Dumoulin et al. 2017 (ALI) with a stochastic encoder. With l_D the
    discriminator's loss of real and fake pairs,

        L_D = l_D((x, E(x)), (G(z), z)),   L_G,E = l_D((G(z), z), (x, E(x))),

    so that both sides of the term carry gradients to the generators' networks. At the optimum G and
    E are inverse to each other.

    Args:
        generator: called with ``latent_dim``.
        encoder: ``[B, *sample_shape] -> [B, outputs]``; twice ``latent_dim`` outputs if stochastic.
        discriminator: called with ``condition_dim`` = ``latent_dim`` and ``fusion``.
        stochastic: E(x) ~ N(mu(x), sigma(x)^2) as in ALI, instead of a function of x.
        fusion: how the latents enter the discriminator.
        latent_dim, prior: as in `GAN`.
    """

    term_names: ClassVar[tuple[str, ...]] = ("joint",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        stochastic: bool = False,
        fusion: str = "concat",
        latent_dim: Count = 50,
        prior: str = "normal",
    ) -> None:
        def of_pairs() -> nn.Module:
            return discriminator(condition_dim=latent_dim, fusion=fusion)

        super().__init__(generator, of_pairs, latent_dim, prior)
        self.stochastic = stochastic
        self.generators["encoder"] = encoder(outputs=2 * latent_dim if stochastic else latent_dim)

    def encode(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """E(x) ``[B, latent_dim]``, or the mean of a stochastic encoder."""
        outputs: Tensor = generators["encoder"](x)
        return outputs.chunk(2, dim=1)[0] if self.stochastic else outputs

    def draw_codes(self, batch: Batch) -> Tensor:
        """Codes of the batch's samples as training draws them, ``[B, latent_dim]``."""
        outputs: Tensor = self.generators["encoder"](batch.real)
        if not self.stochastic:
            return outputs

        # Reparameterized, so that gradients reach the encoder.
        mean, log_variance = outputs.chunk(2, dim=1)
        return mean + (0.5 * log_variance).exp() * batch.rng.normal("encoder", *mean.shape)

    def generate(self, batch: Batch) -> FakeSamples:
        fake = self.sample(self.request_for(batch), self.generators)
        return {"fake": fake, "codes": self.draw_codes(batch)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        # The latents that the fakes were made from, as a step repeats its draws.
        latents = self.latents(self.request_for(batch))
        discriminator = self.discriminators["main"]

        # A sample's condition is its code; both sides carry gradients (Donahue et al. 2017, eq. 3).
        return [
            AdversarialTerm(
                "joint",
                discriminator,
                batch.real,
                fakes["fake"],
                fakes["codes"],
                latents,
                swapped=True,
            )
        ]

    def reconstruct(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """G(E(x)) ``[B, ...]``, with the mean of a stochastic encoder."""
        samples: Tensor = generators["main"](self.encode(x, generators))
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """The sample; with known images also those and their reconstructions."""
        visuals = {"sample": self.sample(request, generators)}
        if request.target is not None:
            reconstructed = self.reconstruct(request.target, generators)
            visuals |= {"input": request.target, "reconstructed": reconstructed}
        return visuals
