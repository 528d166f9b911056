"""The auxiliary-discriminative-classifier model."""

from __future__ import annotations

from collections.abc import Sequence

from gan_zoo.core.types import Batch, FakeSamples, LossTerms, TermOutputs
from gan_zoo.models.class_heads.class_conditional import TwinLogitsGAN


class ADCGAN(TwinLogitsGAN):
    """The classifier tells real classes from generated ones: 2K classes.

    Hou et al. 2022, eq. 6 and 7. A real of class y is 2y, a fake 2y + 1. With CE the classification
    loss of the discriminator's ``aux`` ``[B, 2K]``: L_D += w (CE(x, 2y) + CE(G(z), 2y + 1)), L_G +=
    w (CE(G(z), 2y) - CE(G(z), 2y + 1)). Terms: ``class`` and ``as_fake``.

    Args:
        generator, discriminator, classification, num_classes, latent_dim, prior: as in
            `TwinLogitsGAN`.
        class_weight: w.
    """

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        (output,) = outputs
        assert output.real is not None
        assert batch.label is not None
        on_real = self.classification(output.real.aux, 2 * batch.label)
        on_fake = self.classification(output.fake.aux, 2 * self.generated_labels(batch) + 1)
        return {"class": self.class_weight * on_real, "as_fake": self.class_weight * on_fake}

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        logits = outputs[0].fake.aux
        labels = self.generated_labels(batch)

        # Towards the class's output for reals, and away from that for fakes.
        as_real = self.classification(logits, 2 * labels)
        as_fake = self.classification(logits, 2 * labels + 1)
        return {"class": self.class_weight * as_real, "as_fake": -self.class_weight * as_fake}
