"""The model whose latents have clusters that an encoder finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from gan_zoo.core.types import (
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    Positive,
    SampleRequest,
    TermOutputs,
    Weight,
)
from gan_zoo.models.conditioning import conditional_generator
from gan_zoo.models.gan import GAN


class ClusterGAN(GAN):
    """Latents are a narrow Gaussian and a category; an encoder recovers both from the sample.

    Mukherjee et al. 2019, eq. 3 and algorithm 1. z = (z_n, c) with z_n ~ N(0, s^2 I) and c uniform
    over K categories as one-hot numbers. Generator and encoder E = (E_n, E_c) minimize

        L_G,E = l_G + w_n E |z_n - E_n(G(z))|^2 + w_c E CE(E_c(G(z)), c).

    The small s keeps the categories apart: clusters of samples are those of c. Use
    ``loss=wgan_gp``, the paper's. Loss terms: ``latents`` and ``category``.

    Latents of requests are of N(0, 1), and are multiplied by s before they enter the generator.

    Args:
        generator: made by `conditional_generator` with ``condition_dim`` = ``categories``.
        encoder: ``[B, *sample_shape] -> [B, outputs]``, called with ``outputs`` = ``latent_dim`` +
            ``categories``.
        discriminator: makes a discriminator of samples.
        categories: K >= 2.
        std: s; 0.1 in the paper.
        latent_weight, category_weight: w_n and w_c; 10 and 10 in the paper.
        latent_dim: size of z_n; 30 in the paper.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        categories: Count = 10,
        std: Positive = 0.1,
        latent_weight: Weight = 10.0,
        category_weight: Weight = 10.0,
        latent_dim: Count = 30,
    ) -> None:
        if categories < 2:
            raise ValueError(f"categories must be >= 2, got {categories}")

        # A cluster is a condition, chosen by the generator's request and not by the data.
        def with_categories(latent_dim: int) -> nn.Module:
            return conditional_generator(generator, latent_dim, categories)

        super().__init__(with_categories, discriminator, latent_dim)
        self.generators["encoder"] = encoder(outputs=latent_dim + categories)
        self.categories = categories
        self.num_requested_labels = categories
        self.std = std
        self.latent_weight = latent_weight
        self.category_weight = category_weight

    def request_for(self, batch: Batch) -> SampleRequest:
        """In training categories are drawn uniformly."""
        return SampleRequest(batch.size, batch.rng)

    def requested_label(self, request: SampleRequest) -> Tensor:
        """The categories ``[B]``: as requested, else uniformly random."""
        if request.label is not None:
            return request.label % self.categories
        return request.rng.randint("category", request.size, 0, self.categories)

    def generator_inputs(
        self, request: SampleRequest, generators: nn.ModuleDict
    ) -> tuple[Tensor, ...]:
        category = one_hot(self.requested_label(request), self.categories)
        return self.std * self.latents(request), category.float()

    def encoded(self, x: Tensor, generators: nn.ModuleDict) -> tuple[Tensor, Tensor]:
        """E_n(x) ``[B, latent_dim]`` and the logits E_c(x) ``[B, K]``."""
        outputs: Tensor = generators["encoder"](x).float()
        return outputs[:, : self.latent_dim], outputs[:, self.latent_dim :]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        # The inputs that the fakes were made from, as a step repeats its draws.
        request = self.request_for(batch)
        latents, _ = self.generator_inputs(request, self.generators)

        # What a sample was made of is what the encoder has to find.
        found, logits = self.encoded(fakes["fake"], self.generators)
        distance = (found - latents).square().sum(1).mean()
        return {
            "latents": self.latent_weight * distance,
            "category": self.category_weight * cross_entropy(logits, self.requested_label(request)),
        }

    def predict_category(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The cluster of each sample ``[B, ...]``: the most likely category, ``[B]``."""
        return self.encoded(x, generators)[1].argmax(1)

    def encode(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """E_n(x) and the probabilities of the categories, ``[B, latent_dim + K]``."""
        latents, logits = self.encoded(x, generators)
        return torch.cat([latents, logits.softmax(1)], 1)

    def reconstruct(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """G(E_n(x), the most likely category) ``[B, ...]``."""
        latents, logits = self.encoded(x, generators)
        category = one_hot(logits.argmax(1), self.categories).float()
        samples: Tensor = generators["main"](latents, category)
        return samples
