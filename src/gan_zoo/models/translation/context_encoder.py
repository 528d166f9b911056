"""The inpainting model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, FakeSamples, Shape, Weight
from gan_zoo.models.base import Model, require_images
from gan_zoo.models.translation.pix2pix import Pix2Pix


class Completion(nn.Module):
    """A translator whose output replaces the hole alone; known pixels stay as they are.

    Maps ``[B, C + 1, H, W]``, an image and its mask, which is > 0 in the hole, to ``[B, C, H, W]``.

    Args:
        translator: ``[B, C + 1, H, W] -> [B, C, H, W]``.
    """

    def __init__(self, translator: nn.Module) -> None:
        super().__init__()
        self.translator = translator
        self.multiple = int(getattr(translator, "multiple", 4))

    def forward(self, x: Tensor) -> Tensor:
        known, mask = x[:, :-1], x[:, -1:]
        return torch.where(mask > 0, self.translator(x), known)


class ContextEncoder(Pix2Pix):
    """A translator fills the hole of an image; the discriminator sees the completed image.

    Pathak et al. 2016, eq. 1 to 3. With a = (image with a hole, mask) and G(a) completed by the
    known pixels of x,

        L_G = w_a adv(D, G(a)) + w_r |G(a) - x|^2.

    The distance is a mean over the whole image, to which known pixels contribute 0: for a hole of
    a quarter of the image, w_r = 4 weights the mean over the hole by 1. Adversarial term
    ``realism``, loss term ``reconstruction``.

    Args:
        generator, reconstruction: as in `Pix2Pix`.
        discriminator: makes a discriminator of images; it does not see the mask.
        a_shape, b_shape: ``[C + 1, H, W]`` of images with masks and ``[C, H, W]`` of images.
        reconstruction_weight: w_r.
        adversarial_weight: w_a (0.001 in the paper).
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        reconstruction_weight: Weight = 4.0,
        adversarial_weight: Weight = 0.001,
    ) -> None:
        Model.__init__(self)
        a_shape = require_images(a_shape, "model=context_encoder")
        if list(a_shape) != [b_shape[0] + 1, *b_shape[1:]]:
            raise ValueError(
                "model=context_encoder needs images with a mask as the last channel"
                f" (data/derive=mask), got conditions {list(a_shape)} of samples {list(b_shape)}"
            )
        if reconstruction_weight < 0 or adversarial_weight < 0:
            raise ValueError(
                "reconstruction_weight and adversarial_weight must be >= 0, got"
                f" {reconstruction_weight} and {adversarial_weight}"
            )
        translator = Completion(generator(in_shape=a_shape, out_shape=b_shape))
        self.generators = nn.ModuleDict({"main": translator})
        self.discriminators = nn.ModuleDict({"main": discriminator()})
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight
        self.adversarial_weight = adversarial_weight

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        return [
            AdversarialTerm(
                "realism",
                self.discriminators["main"],
                batch.real,
                fakes["fake"],
                generator_weight=self.adversarial_weight,
            )
        ]
