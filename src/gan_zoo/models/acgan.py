"""The auxiliary-classifier model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import Batch, Count, FakeSamples, LossTerms, SampleRequest, TermOutputs, Weight
from gan_zoo.models.conditioning import conditional_generator
from gan_zoo.models.gan import GAN


class ACGAN(GAN):
    """The discriminator also classifies; the generator is conditioned on a class (Odena et al. 2017, eq. 2 and 3).

    Classes of fakes are drawn uniformly, unless they are requested. The generator gets the class as one-hot numbers;
    the discriminator's class logits are its output's ``aux``. Loss terms: ``class`` for the
    discriminator on reals, and on fakes if `aux_on_fake`; ``class`` for the generator.

    Args:
        generator: made by `conditional_generator` with ``condition_dim`` = ``num_classes``.
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

        def class_conditional(latent_dim: int) -> nn.Module:
            return conditional_generator(generator, latent_dim, num_classes)

        super().__init__(class_conditional, lambda: discriminator(aux_outputs=num_classes), latent_dim, prior)
        self.needs = ("label",)
        self.classification = classification
        self.num_classes = num_classes
        self.num_requested_labels = num_classes
        self.aux_on_fake = aux_on_fake
        self.class_weight = class_weight

    def request_for(self, batch: Batch) -> SampleRequest:
        """In training classes are drawn uniformly."""
        return SampleRequest(batch.size, batch.rng)

    def requested_label(self, request: SampleRequest) -> Tensor:
        """The classes of the samples, ``[B]``."""
        if request.label is not None:
            return request.label
        return request.rng.randint("classes", request.size, 0, self.num_classes)

    def discriminator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        (output,) = outputs
        assert output.real is not None
        loss = self.classification(output.real.aux, batch.label)
        if self.aux_on_fake:
            loss = loss + self.classification(output.fake.aux, self.requested_label(self.request_for(batch)))
        return {"class": self.class_weight * loss}

    def generator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        labels = self.requested_label(self.request_for(batch))
        return {"class": self.class_weight * self.classification(outputs[0].fake.aux, labels)}

    def generator_inputs(self, request: SampleRequest, generators: nn.ModuleDict) -> tuple[Tensor, ...]:
        classes = one_hot(self.requested_label(request), self.num_classes)
        return self.latents(request), classes.float()
