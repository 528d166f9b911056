"""The paired translation model with many outputs for each input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn
from torch.func import functional_call

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    Shape,
    TermOutputs,
    Weight,
    at_least_float32,
)
from gan_zoo.models.base import Model, require_images


class BicycleGAN(Model):
    """A translator of an input a and latents z, of which outputs tell both (Zhu et al. 2017,
    section 4).

    With pairs (a, b), an encoder E of outputs, z' ~ E(b) = N(mu(b), sigma(b)^2) and z ~ N(0, 1),

        L_G,E = adv(D1, G(a, z')) + adv(D2, G(a, z)) + w_r |G(a, z') - b| + w_kl KL(E(b) | N(0, 1))
              + w_z |mu(G(a, z)) - z|,

    the last for G alone: there E is a constant function. Terms ``encoded`` (D1) and ``random``
    (D2); loss terms ``reconstruction``, ``kl`` and ``latent``. The encoder belongs to the
    generators.

    Args:
        generator: makes a translator ``(image, latents) -> image``, called with ``in_shape``,
            ``out_shape`` and ``latent_dim``.
        encoder: ``[B, *b_shape] -> [B, outputs]``, called with ``outputs`` = 2 ``latent_dim``.
        discriminator: makes a discriminator, called with ``condition_channels`` if ``conditional``.
        reconstruction: distance ``(output, target) -> scalar``.
        kl: ``(mu, log_variance) -> scalar``.
        a_shape, b_shape: ``[C, H, W]`` of inputs and targets.
        reconstruction_weight: w_r (10 in the paper).
        kl_weight: w_kl (0.01 in the paper).
        latent_weight: w_z (0.5 in the paper).
        conditional: whether discriminators see a in addition to b, as in eq. 2 of the paper.
        latent_dim: size of the latents (8 in the paper).
    """

    term_names: ClassVar[tuple[str, ...]] = ("encoded", "random")
    needs = ("image",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        kl: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        reconstruction_weight: Weight = 10.0,
        kl_weight: Weight = 0.01,
        latent_weight: Weight = 0.5,
        conditional: bool = True,
        latent_dim: Count = 8,
    ) -> None:
        super().__init__()
        a_shape = require_images(a_shape, "model=bicyclegan")
        if min(reconstruction_weight, kl_weight, latent_weight) < 0 or latent_dim < 1:
            raise ValueError(
                "reconstruction_weight, kl_weight and latent_weight must be >= 0, latent_dim >= 1,"
                f" got {reconstruction_weight}, {kl_weight}, {latent_weight} and {latent_dim}"
            )

        # A translator and an encoder, and a discriminator for each kind of latents.
        translator = generator(in_shape=a_shape, out_shape=b_shape, latent_dim=latent_dim)
        networks = {"main": translator, "encoder": encoder(outputs=2 * latent_dim)}
        self.generators = nn.ModuleDict(networks)
        options = {"condition_channels": a_shape[0]} if conditional else {}
        self.discriminators = nn.ModuleDict(
            {name: discriminator(**options) for name in self.term_names}
        )
        self.reconstruction = reconstruction
        self.kl = kl
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight
        self.latent_weight = latent_weight
        self.conditional = conditional
        self.latent_dim = latent_dim

    @property
    def translates(self) -> bool:
        """Also with latents: the translator is convolutional."""
        return True

    def generate(self, batch: Batch) -> FakeSamples:
        outputs = self.generators["encoder"](batch.real)
        mu, log_variance = at_least_float32(outputs).chunk(2, dim=1)

        # z' = mu + sigma e, so that gradients reach the encoder.
        noise = batch.rng.normal("posterior", *mu.shape)
        codes = mu + (0.5 * log_variance).exp() * noise
        return {
            "fake": self.sample(self.request_for(batch), self.generators),
            "encoded": self.generators["main"](batch.condition, codes),
            "mu": mu,
            "log_variance": log_variance,
        }

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        a = batch.condition if self.conditional else None
        pairs = {"encoded": fakes["encoded"], "random": fakes["fake"]}
        return [
            AdversarialTerm(name, self.discriminators[name], batch.real, fake, a, a)
            for name, fake in pairs.items()
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        distance = self.reconstruction(fakes["encoded"], batch.real)
        found = self.constant_encoder(fakes["fake"])
        latents = self.latents(self.request_for(batch))  # a step repeats its draws
        return {
            "reconstruction": self.reconstruction_weight * distance,
            "kl": self.kl_weight * self.kl(fakes["mu"], fakes["log_variance"]),
            "latent": self.latent_weight * (found - latents).abs().mean(),
        }

    def constant_encoder(self, x: Tensor) -> Tensor:
        """mu(x) ``[B, latent_dim]`` with gradients for ``x`` alone, not for the encoder."""
        encoder = self.generators["encoder"]
        constants = {name: p.detach() for name, p in encoder.named_parameters()}
        outputs = at_least_float32(functional_call(encoder, constants, (x,)))
        return outputs.chunk(2, dim=1)[0]

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        latents = self.latents(request)
        with request.rng.as_default():  # for dropout at test time
            samples: Tensor = generators["main"](request.condition, latents)
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input and outputs of two latents; with known targets also the output of their codes."""
        assert request.condition is not None
        # Two latents for the same input show what a latent decides.
        other = replace(request, rng=request.rng.derive("other latents"), latents=None)
        visuals = {
            "input": request.condition,
            "sample": self.sample(request, generators),
            "other latents": self.sample(other, generators),
        }

        # The code of a known target, by its mean.
        if request.target is not None:
            codes = at_least_float32(generators["encoder"](request.target)).chunk(2, dim=1)[0]
            encoded = self.sample(replace(request, latents=codes), generators)
            visuals |= {"encoded": encoded, "target": request.target}
        return visuals
