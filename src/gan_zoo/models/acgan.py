"""The auxiliary-classifier model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import Batch, Count, FakeSamples, LossTerms, TermOutputs, Weight
from gan_zoo.models.gan import GAN


class ACGAN(GAN):
    """The discriminator also classifies; the generator is conditioned on a class (Odena et al. 2017, eq. 2 and 3).

    Classes of fakes are uniform, or the labels of a batch without samples. The generator reads the class as one-hot
    numbers behind the latents; the discriminator's class logits are its output's ``aux``. LossTerms: ``class`` for the
    discriminator on reals, and on fakes if `aux_on_fake`; ``class`` for the generator.

    Args:
        generator: called with ``latent_dim``, the latents' size plus ``num_classes``.
        discriminator: called with ``aux_outputs`` = ``num_classes``.
        classification: ``(logits, labels) -> scalar``.
        num_classes: K >= 2, as the data has them.
        aux_on_fake: whether the discriminator also learns to classify fakes, as in the paper.
        class_weight: factor on the classification terms.
        latent_dim, prior: as in `GAN`.
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
        if num_classes is None or num_classes < 2:
            raise ValueError(f"model=acgan needs data with labels: data.num_classes must be >= 2, got {num_classes}")

        def with_classes(latent_dim: int) -> nn.Module:
            return generator(latent_dim=latent_dim + num_classes)

        super().__init__(with_classes, lambda: discriminator(aux_outputs=num_classes), latent_dim, prior)
        self.needs = ("label",)
        self.classification, self.num_classes, self.num_requested_labels = classification, num_classes, num_classes
        self.aux_on_fake, self.class_weight = aux_on_fake, class_weight

    def requested_label(self, batch: Batch) -> Tensor:
        """The classes asked of the generator, ``[B]``."""
        if batch.real is None and batch.label is not None:
            return batch.label
        return batch.rng.integers("classes", batch.size, 0, self.num_classes)

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.sample(batch, self.generators)}

    def discriminator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        (output,) = outputs
        assert output.real is not None
        loss = self.classification(output.real.aux, batch.label)
        if self.aux_on_fake:
            loss = loss + self.classification(output.fake.aux, self.requested_label(batch))
        return {"class": self.class_weight * loss}

    def generator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        return {"class": self.class_weight * self.classification(outputs[0].fake.aux, self.requested_label(batch))}

    def sample(self, batch: Batch, generators: nn.ModuleDict) -> Tensor:
        classes = one_hot(self.requested_label(batch), self.num_classes)
        samples: Tensor = generators["main"](torch.cat([self.latents(batch), classes.float()], dim=1))
        return samples
