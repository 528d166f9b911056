"""What models with a class-conditional generator and a discriminator that knows classes share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import Batch, Count, SampleRequest, Weight
from gan_zoo.models.conditioning import conditional_generator
from gan_zoo.models.gan import GAN


class ClassConditionalGAN(GAN):
    """The generator is conditioned on a class, which is drawn uniformly unless it is requested.

    The generator gets the class as one-hot numbers. The discriminator scores samples alone; its
    further outputs, which the subclass uses, are its output's ``aux``.

    Args:
        generator: made by `conditional_generator` with ``condition_dim`` = ``num_classes``.
        discriminator: called with ``aux_outputs``.
        num_classes: K >= 2, as the data has them.
        aux_outputs: number of the discriminator's further outputs.
        latent_dim, prior: as in `GAN`.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        num_classes: int | None,
        aux_outputs: Callable[[int], int],
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        if num_classes is None or num_classes < 2:
            raise ValueError(
                f"{type(self).__name__} needs data with labels: data.num_classes must be >= 2, "
                f"got {num_classes}"
            )

        def made_generator(latent_dim: int) -> nn.Module:
            return conditional_generator(generator, latent_dim, num_classes)

        def made_discriminator() -> nn.Module:
            return self.with_classes(discriminator(aux_outputs=aux_outputs(num_classes)))

        # Set first: `with_classes` may need it when the base class makes the discriminator.
        self.num_classes = num_classes
        super().__init__(made_generator, made_discriminator, latent_dim, prior)
        self.needs = ("label",)
        self.num_requested_labels = num_classes

    def with_classes(self, discriminator: nn.Module) -> nn.Module:
        """The discriminator, to which a model may add what knows the classes."""
        return discriminator

    def request_for(self, batch: Batch) -> SampleRequest:
        """In training classes are drawn uniformly."""
        return SampleRequest(batch.size, batch.rng)

    def requested_label(self, request: SampleRequest) -> Tensor:
        """The classes of the samples, ``[B]``."""
        if request.label is not None:
            return request.label
        return request.rng.randint("classes", request.size, 0, self.num_classes)

    @property
    def sides_may_mix(self) -> bool:
        """No: a fake has another class than the real in its place."""
        return False

    def generated_labels(self, batch: Batch) -> Tensor:
        """The classes of the fakes of a training batch, ``[B]``."""
        # The classes that the generator was given, as a step repeats its draws.
        return self.requested_label(self.request_for(batch))

    def generator_inputs(
        self, request: SampleRequest, generators: nn.ModuleDict
    ) -> tuple[Tensor, ...]:
        classes = one_hot(self.requested_label(request), self.num_classes)
        return self.latents(request), classes.float()


class TwinLogitsGAN(ClassConditionalGAN):
    """A discriminator whose ``aux`` ``[B, 2K]`` are two logits for each class.

    Args:
        generator, discriminator, num_classes, latent_dim, prior: as in `ClassConditionalGAN`.
        classification: ``(logits, labels) -> scalar``.
        class_weight: factor on the classification terms, w of the papers.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        classification: nn.Module,
        num_classes: int | None,
        class_weight: Weight = 1.0,
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        super().__init__(
            generator, discriminator, num_classes, lambda classes: 2 * classes, latent_dim, prior
        )
        self.classification = classification
        self.class_weight = class_weight
