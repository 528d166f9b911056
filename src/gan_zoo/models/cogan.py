"""The model of two domains whose networks share layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    SampleRequest,
    Shape,
    Whole,
)
from gan_zoo.models.base import Conditioning, Model, require_images
from gan_zoo.models.gan import check_prior
from gan_zoo.models.shared_layers import share_layers


class CoGAN(Model):
    """Pairs of images of two domains from one latent, learned without pairs.

    Liu & Tuzel 2016, eq. 8. The generators of both domains share their first layers, which decide
    what is drawn, the discriminators their last ones; with l the loss of `GAN`

        L = l(D_a, G_a) + l(D_b, G_b).

    A is the domain of a batch's conditions, B that of its samples. `sample` is G_b(z). Adversarial
    terms: ``a`` and ``b``.

    Args:
        generator: called with ``latent_dim``, once for each domain.
        discriminator: makes a discriminator, once for each domain.
        a_shape, b_shape: ``[C, H, W]`` of both domains, which must be equal.
        shared_generator_layers: number of first layers that the generators share, with the
            normalizations after them.
        shared_discriminator_layers: number of last layers that the discriminators share.
        latent_dim, prior: as in `GAN`.

    Raises:
        ValueError: for different shapes, or if no layer of a network would be its own.
    """

    term_names: ClassVar[tuple[str, ...]] = ("b", "a")
    name_of_sample: ClassVar[str | None] = "b"
    needs = ("domain",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        a_shape: Shape | None,
        b_shape: Shape,
        shared_generator_layers: Whole = 2,
        shared_discriminator_layers: Whole = 2,
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        super().__init__()
        a_shape = require_images(a_shape, "model=cogan")
        if list(a_shape) != list(b_shape):
            raise ValueError(
                "model=cogan needs domains of one shape, got"
                f" data.condition_shape={list(a_shape)} and data.sample_shape={list(b_shape)}"
            )

        # A generator and a discriminator for each domain.
        check_prior(prior)
        self.latent_dim = latent_dim
        self.prior = prior
        self.generators = nn.ModuleDict(
            {"main": generator(latent_dim=latent_dim), "a": generator(latent_dim=latent_dim)}
        )
        self.discriminators = nn.ModuleDict({"b": discriminator(), "a": discriminator()})

        # What a sample shows is decided near the latents, and scored near the end.
        share_layers(
            self.generators["main"], self.generators["a"], "first", shared_generator_layers
        )
        share_layers(
            self.discriminators["b"], self.discriminators["a"], "last", shared_discriminator_layers
        )

    @property
    def conditioning(self) -> Conditioning:
        """Samples are functions of latents alone; the other domain is used in training only."""
        return "none"

    @property
    def needs_conditions(self) -> bool:
        """Samples need latents alone."""
        return False

    def generate(self, batch: Batch) -> FakeSamples:
        latents = self.latents(self.request_for(batch))
        return {"b": self.generators["main"](latents), "a": self.generators["a"](latents)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        assert batch.condition is not None
        real = {"b": batch.real, "a": batch.condition}
        return [
            AdversarialTerm(name, self.discriminators[name], real[name], fakes[name])
            for name in self.term_names
        ]

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        samples: Tensor = generators["main"](*self.generator_inputs(request, generators))
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """The samples, and those of domain A of the same latents."""
        (latents,) = self.generator_inputs(request, generators)
        return {"sample": generators["main"](latents), "other domain": generators["a"](latents)}
