"""The model whose generator matches what the discriminator sees on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    Positive,
    TermOutputs,
    Weight,
    at_least_float32,
)
from gan_zoo.models.gan import GAN


class FeatureMatching(GAN):
    """The generator minimizes ||E f(x) - E f(G(z))||^2 over discriminator activations f (Salimans
    et al. 2016, eq. 3).

    The means are over the global batch. Term: ``features``.

    Args:
        generator, discriminator, latent_dim, prior: as in `GAN`; the discriminator's output must
            carry features.
        feature_weight: factor on the term, > 0.
        adversarial_weight: factor on the generator's adversarial term; 0 in the paper.
    """

    # The square of a mean over the batch is no mean over samples.
    mean_of_samples: bool = False
    generator_sees_real: ClassVar[bool] = True

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        feature_weight: Positive = 1.0,
        adversarial_weight: Weight = 0.0,
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        if feature_weight <= 0 or adversarial_weight < 0:
            raise ValueError(
                f"feature_weight must be > 0 and adversarial_weight >= 0, got {feature_weight} and"
                f" {adversarial_weight}"
            )
        super().__init__(generator, discriminator, latent_dim, prior)
        self.feature_weight, self.adversarial_weight = feature_weight, adversarial_weight

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        (term,) = super().adversarial_terms(batch, fakes)
        term.generator_weight = self.adversarial_weight
        return [term]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        (output,) = outputs
        assert output.real is not None

        # Means over the global batch, before they are squared.
        pairs = zip(output.real.features, output.fake.features, strict=True)
        gaps: list[Tensor] = [
            mean_over_ranks(mean_of(fake) - mean_of(real)).square().sum() for real, fake in pairs
        ]
        if not gaps:
            raise ValueError(
                "model=feature_matching needs a discriminator that shows its features, such as"
                " dcgan"
            )
        return {"features": self.feature_weight * sum(gaps[1:], start=gaps[0])}


def mean_of(features: Tensor) -> Tensor:
    """The mean over samples, in float32 at least."""
    return at_least_float32(features).mean(0)
