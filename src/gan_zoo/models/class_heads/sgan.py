"""The model whose discriminator learns classes from few labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import (
    Batch,
    Count,
    DiscriminatorOutput,
    FakeSamples,
    LossTerms,
    Positive,
    TermOutputs,
    Weight,
    run_discriminator,
)
from gan_zoo.models.class_heads.single_scores import require_single_scores
from gan_zoo.models.feature_matching import FeatureMatching


class ClassLogits(nn.Module):
    """A discriminator whose ``aux`` are logits of the classes ``[B, K]``, and whose score is their
    log-sum-exp.

    Args:
        discriminator: the logits are its ``aux`` ``[B, K]`` plus its score ``[B]``, which the
            softmax does not see.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        output = run_discriminator(self.discriminator, x)
        logits = output.score[:, None] + output.aux.float()
        return replace(output, aux=logits, score=logits.logsumexp(1))


class SemiSupervisedGAN(FeatureMatching):
    """A discriminator of K classes and fakes, of which few samples have a label.

    Salimans et al. 2016, section 5. With K logits l(x), that of fakes being 0, a sample is real
    with the score s(x) = log sum_k exp l_k(x), which any loss takes:

        L_D = l_D(s(x), s(G(z))) + w CE(l(x'), y'),   L_G as in `FeatureMatching`.

    x' and its classes y' are drawn independently of x from the samples with a label
    (``data.labeled``); fakes are not classified. With ``loss=nonsaturating`` L_D is the paper's,
    cross-entropy of K + 1 classes. Terms: ``class``, ``features``.

    Args:
        generator, latent_dim, prior: as in `GAN`.
        discriminator: called with ``aux_outputs`` = ``num_classes``; its output must carry
            features.
        classification: ``(logits, labels) -> scalar``.
        num_classes: K >= 2, as the data has them.
        class_weight: w; 1 in the paper.
        feature_weight, adversarial_weight: as in `FeatureMatching`.
    """

    needs_high_is_real: ClassVar[bool] = True

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        classification: nn.Module,
        num_classes: int | None,
        class_weight: Weight = 1.0,
        feature_weight: Positive = 1.0,
        adversarial_weight: Weight = 0.0,
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        if num_classes is None or num_classes < 2:
            raise ValueError(
                "model=sgan needs data with labels: data.num_classes must be >= 2, got"
                f" {num_classes}"
            )

        # One output for each class, and the score, from a single head.
        def of_classes() -> nn.Module:
            return ClassLogits(
                require_single_scores(discriminator(aux_outputs=num_classes), "sgan")
            )

        super().__init__(
            generator, of_classes, feature_weight, adversarial_weight, latent_dim, prior
        )

        # Labels come in samples of their own, which need not be those of the batch.
        self.needs = ("labeled",)
        self.classification = classification
        self.class_weight = class_weight

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        assert batch.labeled_real is not None
        logits = self.class_logits(batch.labeled_real)
        return {"class": self.class_weight * self.classification(logits, batch.labeled_label)}

    def class_logits(self, x: Tensor) -> Tensor:
        """The discriminator's logits ``[B, K]`` of samples ``[B, ...]``."""
        logits: Tensor = run_discriminator(self.discriminators["main"], x).aux
        return logits
