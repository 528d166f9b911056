"""The twin-auxiliary-classifiers model."""

from __future__ import annotations

from collections.abc import Sequence

from gan_zoo.core.types import Batch, FakeSamples, LossTerms, TermOutputs
from gan_zoo.models.class_heads.class_conditional import TwinLogitsGAN


class TACGAN(TwinLogitsGAN):
    """A twin classifier of fakes takes away AC-GAN's pull towards easily classified samples.

    Gong et al. 2019, eq. 5. The discriminator's ``aux`` are the logits of two classifiers, C of
    reals and the twin C~ of fakes, ``[B, 2K]``. With CE the classification loss: L_D += w (CE(C(x))
    + CE(C~(G(z)))), L_G += w (CE(C(G(z))) - CE(C~(G(z)))). Terms: ``class`` and ``twin``.

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
        # The head has two classifiers side by side: of reals, and of fakes.
        of_reals, _ = output.real.aux.chunk(2, 1)
        _, of_fakes = output.fake.aux.chunk(2, 1)
        on_real = self.classification(of_reals, batch.label)
        twin = self.classification(of_fakes, self.generated_labels(batch))
        return {"class": self.class_weight * on_real, "twin": self.class_weight * twin}

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        of_reals, of_fakes = outputs[0].fake.aux.chunk(2, 1)
        labels = self.generated_labels(batch)

        # The twin's term is subtracted, against the pull towards easily classified samples.
        on_fake = self.classification(of_reals, labels)
        twin = self.classification(of_fakes, labels)
        return {"class": self.class_weight * on_fake, "twin": -self.class_weight * twin}
