"""The auxiliary-classifier model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from gan_zoo.core.types import Batch, Count, FakeSamples, LossTerms, TermOutputs, Weight
from gan_zoo.models.class_heads.class_conditional import ClassConditionalGAN


class ACGAN(ClassConditionalGAN):
    """The discriminator also classifies; the generator is conditioned on a class (Odena et al.
    2017, eq. 2 and 3).

    The discriminator's class logits are its output's ``aux``. Loss terms: ``class`` for the
    discriminator on reals, and on fakes if `aux_on_fake`; ``class`` for the generator.

    Args:
        generator, discriminator, num_classes, latent_dim, prior: as in `ClassConditionalGAN`.
        classification: ``(logits, labels) -> scalar``.
        aux_on_fake: whether the discriminator also learns to classify fakes, as in the paper.
        class_weight: factor on the classification terms.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        classification: nn.Module,
        num_classes: int | None,
        aux_on_fake: bool = True,
        class_weight: Weight = 1.0,
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        super().__init__(
            generator, discriminator, num_classes, lambda classes: classes, latent_dim, prior
        )
        self.classification = classification
        self.aux_on_fake = aux_on_fake
        self.class_weight = class_weight

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        (output,) = outputs
        assert output.real is not None
        loss = self.classification(output.real.aux, batch.label)
        if self.aux_on_fake:
            loss = loss + self.classification(output.fake.aux, self.generated_labels(batch))
        return {"class": self.class_weight * loss}

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        loss = self.classification(outputs[0].fake.aux, self.generated_labels(batch))
        return {"class": self.class_weight * loss}
