"""The translation model of many domains with one generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    Shape,
    TermOutputs,
    Weight,
)
from gan_zoo.models.base import Model, require_images


class StarGAN(Model):
    """One generator translates images x of any class y to any class y' (Choi et al. 2018, eq. 1 to
    6).

        L_D = adv(D, x, G(x, y')) + w_c CE(C(x), y)
        L_G = adv(D, G(x, y')) + w_c CE(C(G(x, y')), y') + w_r |G(G(x, y'), y) - x|,

    C being the class logits of the discriminator, its output's ``aux``, and y' uniform over all
    classes. A batch's conditions are its samples (``data/derive=copy``); a request's label is y'.
    Adversarial term ``realism``; loss terms ``class`` of both and ``reconstruction``.

    Args:
        generator: makes a translator ``(image, one-hot classes) -> image``, called with
            ``in_shape``, ``out_shape`` and ``condition_dim``.
        discriminator: makes a discriminator, called with ``aux_outputs``.
        classification: ``(logits, labels) -> scalar``.
        reconstruction: distance ``(output, target) -> scalar``.
        num_classes: K >= 2, as the data has them.
        a_shape, b_shape: ``[C, H, W]`` of conditions and samples, which must be equal.
        class_weight: w_c (1 in the paper).
        reconstruction_weight: w_r (10 in the paper).
    """

    term_names: ClassVar[tuple[str, ...]] = ("realism",)
    needs = ("label", "image")

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        classification: nn.Module,
        reconstruction: nn.Module,
        num_classes: Count | None,
        a_shape: Shape | None,
        b_shape: Shape,
        class_weight: Weight = 1.0,
        reconstruction_weight: Weight = 10.0,
    ) -> None:
        super().__init__()
        a_shape = require_images(a_shape, "model=stargan")
        if num_classes is None or num_classes < 2:
            raise ValueError(
                "model=stargan needs data with labels: data.num_classes must be >= 2, got"
                f" {num_classes}"
            )
        if list(a_shape) != list(b_shape):
            raise ValueError(
                "model=stargan translates samples themselves (data/derive=copy), got conditions"
                f" {list(a_shape)} of samples {list(b_shape)}"
            )
        if min(class_weight, reconstruction_weight) < 0:
            raise ValueError(
                "class_weight and reconstruction_weight must be >= 0, got"
                f" {class_weight} and {reconstruction_weight}"
            )

        # One network for all pairs of classes, and a discriminator that also tells the class.
        translator = generator(in_shape=a_shape, out_shape=b_shape, condition_dim=num_classes)
        self.generators = nn.ModuleDict({"main": translator})
        self.discriminators = nn.ModuleDict({"main": discriminator(aux_outputs=num_classes)})
        self.classification = classification
        self.reconstruction = reconstruction
        self.num_requested_labels: int = num_classes
        self.class_weight = class_weight
        self.reconstruction_weight = reconstruction_weight

    @property
    def translates(self) -> bool:
        """To a class."""
        return True

    def request_for(self, batch: Batch) -> SampleRequest:
        """In training classes are drawn uniformly."""
        return SampleRequest(batch.size, batch.rng, condition=batch.condition)

    def evaluation_request(self, request: SampleRequest) -> SampleRequest:
        """The images of data with other classes than their own: an image that is left as it is
        does not count as translated.
        """
        assert request.label is not None
        draws = request.rng.to(request.label.device)
        step = draws.randint("other classes", request.size, 1, self.num_requested_labels)
        return replace(request, label=(request.label + step) % self.num_requested_labels)

    def requested_label(self, request: SampleRequest) -> Tensor:
        """The classes y' of the samples, ``[B]``."""
        if request.label is not None:
            return request.label
        return request.rng.randint("classes", request.size, 0, self.num_requested_labels)

    def translated(self, generators: nn.ModuleDict, images: Tensor, label: Tensor) -> Tensor:
        """G(x, y') of images ``[B, C, H, W]`` and classes ``[B]``."""
        classes = one_hot(label, self.num_requested_labels).to(images)
        outputs: Tensor = generators["main"](images, classes)
        return outputs

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.sample(self.request_for(batch), self.generators)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        return [AdversarialTerm("realism", self.discriminators["main"], batch.real, fakes["fake"])]

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        (output,) = outputs
        assert output.real is not None
        return {"class": self.class_weight * self.classification(output.real.aux, batch.label)}

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        assert batch.label is not None
        requested = self.requested_label(self.request_for(batch))  # a step repeats its draws
        found = self.classification(outputs[0].fake.aux, requested)

        # Back to the class that the image had.
        rebuilt = self.translated(self.generators, fakes["fake"], batch.label)
        distance = self.reconstruction(rebuilt, batch.condition)
        return {
            "class": self.class_weight * found,
            "reconstruction": self.reconstruction_weight * distance,
        }

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        assert request.condition is not None
        return self.translated(generators, request.condition, self.requested_label(request))

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input and output; the target would be the input itself."""
        assert request.condition is not None
        return {"input": request.condition, "sample": self.sample(request, generators)}
