"""The auxiliary-classifier game."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import Batch, Count, Fakes, Terms, Verdict, Weight
from gan_zoo.models.gan import GAN


class ACGAN(GAN):
    """The critic names the class beside judging; the generator is asked for one (Odena et al. 2017, eq. 2 and 3).

    Classes of fakes are uniform, or the labels of a batch without samples. The generator reads the class as one-hot
    numbers behind the latents; the critic's class logits are its critique's ``aux``. Terms: ``class`` for the critic on
    reals, and on fakes if `aux_on_fake`; ``class`` for the generator.

    Args:
        generator: called with ``latent_dim``, the latents' size plus ``num_classes``.
        discriminator: called with ``aux_outputs`` = ``num_classes``.
        classification: ``(logits, labels) -> scalar``.
        num_classes: K >= 2, as the data has them.
        aux_on_fake: whether the critic also learns to classify fakes, as in the paper.
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
        self.classification, self.num_classes, self.num_intents = classification, num_classes, num_classes
        self.aux_on_fake, self.class_weight = aux_on_fake, class_weight

    def intent(self, batch: Batch) -> Tensor:
        """The classes asked of the generator, ``[B]``."""
        if batch.real is None and batch.label is not None:
            return batch.label
        return batch.noise.integers("classes", batch.size, 0, self.num_classes)

    def generate(self, batch: Batch) -> Fakes:
        return {"fake": self.sample(batch, self.generators)}

    def discriminator_terms(self, batch: Batch, fakes: Fakes, verdicts: Sequence[Verdict]) -> Terms:
        (verdict,) = verdicts
        assert verdict.real is not None
        loss = self.classification(verdict.real.aux, batch.label)
        if self.aux_on_fake:
            loss = loss + self.classification(verdict.fake.aux, self.intent(batch))
        return {"class": self.class_weight * loss}

    def generator_terms(self, batch: Batch, fakes: Fakes, verdicts: Sequence[Verdict]) -> Terms:
        return {"class": self.class_weight * self.classification(verdicts[0].fake.aux, self.intent(batch))}

    def sample(self, batch: Batch, generators: nn.ModuleDict) -> Tensor:
        classes = one_hot(self.intent(batch), self.num_classes)
        samples: Tensor = generators["main"](torch.cat([self.latents(batch), classes.float()], dim=1))
        return samples
