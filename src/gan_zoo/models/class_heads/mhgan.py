"""The model with a score for each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    DiscriminatorOutput,
    FakeSamples,
    LossTerms,
    TermOutputs,
    Weight,
    run_discriminator,
)
from gan_zoo.models.class_heads.class_conditional import ClassConditionalGAN
from gan_zoo.models.class_heads.single_scores import require_single_scores
from gan_zoo.models.feature_matching import mean_of


class ClassScores(nn.Module):
    """A discriminator with a score for each class and one for fakes.

    Its ``aux`` are these scores s ``[B, K + 1]``, its score is that of the best class minus that of
    fakes, so that it works with every loss.

    Args:
        discriminator: its ``aux`` are the scores of the K classes, its score that of reals: minus
            that of fakes.
    """

    scores_classes: ClassVar[bool] = True

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x: Tensor, labels: Tensor) -> DiscriminatorOutput:
        output = run_discriminator(self.discriminator, x)

        # The score of reals is minus that of fakes, which becomes the last class.
        scores = torch.cat([output.aux, -output.score[:, None]], 1)
        return replace(output, aux=scores, score=output.aux.max(1).values + output.score)


class MHGAN(ClassConditionalGAN):
    """A discriminator of K classes and fakes, and features that match on average.

    Kavalerov et al. 2021. Use ``loss=multi_hinge``, the paper's; others see the best class's score
    minus that of fakes. The generator's adversarial term counts ``generator_weight``, to which is
    added w E_f |E f(x) - E f(G(z))|, f the last activations of the discriminator, the means those
    of the global batch, averaged over the features. Term: ``features``.

    Args:
        generator, discriminator, num_classes, latent_dim, prior: as in `ClassConditionalGAN`.
        generator_weight: 0.05 in the paper.
        feature_weight: w; 1 in the paper.
    """

    needs_high_is_real: ClassVar[bool] = True
    generator_sees_real: ClassVar[bool] = True
    # The absolute value of a mean over the batch is no mean over samples.
    mean_of_samples: bool = False

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        num_classes: int | None,
        generator_weight: Weight = 0.05,
        feature_weight: Weight = 1.0,
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        super().__init__(
            generator, discriminator, num_classes, lambda classes: classes, latent_dim, prior
        )
        self.generator_weight = generator_weight
        self.feature_weight = feature_weight

    def with_classes(self, discriminator: nn.Module) -> nn.Module:
        return ClassScores(require_single_scores(discriminator, "mhgan"))

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        return [
            AdversarialTerm(
                "realism",
                self.discriminators["main"],
                batch.real,
                fakes["fake"],
                batch.label,
                self.generated_labels(batch),
                generator_weight=self.generator_weight,
            )
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        (output,) = outputs
        assert output.real is not None
        gap = mean_of(output.fake.features[0]) - mean_of(output.real.features[0])
        return {"features": self.feature_weight * mean_over_ranks(gap).abs().mean()}
