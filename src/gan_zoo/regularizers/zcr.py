"""Latent consistency regularization."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gan_zoo.core.comparable_outputs import comparable_outputs
from gan_zoo.core.types import Batch, Count, FakeSamples, Positive, Weight
from gan_zoo.regularizers.base import GeneratorRegularizer, Generators, require_latents


class LatentConsistency(GeneratorRegularizer):
    """A small change of the latents changes the sample, but not its score (Zhao et al. 2021, zCR).

    With z' = z + N(0, std^2) the generator minimizes -generator_weight * E (G(z) - G(z'))^2, the
    discriminator discriminator_weight * E (D(G(z)) - D(G(z')))^2, both as means over dimensions.

    Args:
        generator_weight: lambda_gen.
        discriminator_weight: lambda_dis.
        std: of the change of the latents.
        every: see `GeneratorRegularizer`.
    """

    def __init__(
        self,
        generator_weight: Weight = 0.5,
        discriminator_weight: Weight = 5.0,
        std: Positive = 0.05,
        every: Count = 1,
    ) -> None:
        super().__init__(every)
        if std <= 0:
            raise ValueError(f"regularizer.zcr.std must be > 0, got {std}")
        self.generator_weight = generator_weight
        self.discriminator_weight = discriminator_weight
        self.std = std

    def check(self, model: Generators) -> None:
        require_latents(model, "zcr")
        if model.name_of_sample is None:
            raise ValueError(
                f"regularizer=zcr needs a model that trains on samples of latents, got"
                f" {type(model).__name__}"
            )
        levels = getattr(model, "levels", 1)
        if levels != 1:
            raise ValueError(
                "regularizer=zcr needs a discriminator of single images; that of"
                f" {type(model).__name__} scores {levels} levels: use another regularizer"
            )

    def perturbed(self, model: Generators, batch: Batch) -> Tensor:
        """Samples of the batch's latents with noise, under the same conditions."""
        request = model.request_for(batch)
        latents = model.latents(request)
        noise = request.rng.normal("zcr", *latents.shape).to(latents)
        return model.sample(replace(request, latents=latents + self.std * noise), model.generators)

    def penalty(self, model: Generators, batch: Batch, fakes: FakeSamples) -> Tensor:
        assert model.name_of_sample is not None
        change = self.perturbed(model, batch) - fakes[model.name_of_sample]
        return -self.generator_weight * change.square().mean()

    def discriminator_penalty(
        self, model: Generators, batch: Batch, fakes: FakeSamples
    ) -> Tensor | None:
        # The terms of the samples and of the perturbed ones.
        assert model.name_of_sample is not None
        samples = fakes[model.name_of_sample]
        with torch.no_grad():
            perturbed = fakes | {model.name_of_sample: self.perturbed(model, batch)}
        pairs = zip(
            model.adversarial_terms(batch, fakes),
            model.adversarial_terms(batch, perturbed),
            strict=True,
        )

        # Squared changes of the scores.
        changes = []
        for term, other in pairs:
            if term.trains_generator and term.fake is samples:
                both = [(each.fake, each.fake_condition) for each in (term, other)]
                rng = batch.rng.derive(f"zcr/{term.name}")
                output, moved = comparable_outputs(term.discriminator, both, rng)
                changes.append((output.score - moved.score).square().mean())
        return self.discriminator_weight * torch.stack(changes).sum() if changes else None
