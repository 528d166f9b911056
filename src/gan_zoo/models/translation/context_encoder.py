"""The inpainting model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Shape, Weight
from gan_zoo.models.base import require_images
from gan_zoo.models.translation.paired import PairedTranslation


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


class ContextEncoder(PairedTranslation):
    """A translator fills the hole of an image; the discriminator sees the completed image.

    Pathak et al. 2016, eq. 1 to 3. With a = (image with a hole, mask) and G(a) completed by the
    known pixels of x,

        L_G = w_a adv(D, G(a)) + w_r |G(a) - x|^2.

    The distance is a mean over the whole image, to which known pixels contribute 0: for a hole of
    a quarter of the image, w_r = 4 weights the mean over the hole by 1. Adversarial term
    ``realism``, loss term ``reconstruction``.

    Args:
        generator: makes a translator, called with ``in_shape`` and ``out_shape``.
        reconstruction: distance ``(output, target) -> scalar``.
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
        a_shape = require_images(a_shape, "model=context_encoder")

        # The mask tells the generator where to fill in.
        if list(a_shape) != [b_shape[0] + 1, *b_shape[1:]]:
            raise ValueError(
                "model=context_encoder needs images with a mask as the last channel"
                f" (data/derive=mask), got conditions {list(a_shape)} of samples {list(b_shape)}"
            )

        # The discriminator sees whole images without what they were made of.
        super().__init__(
            Completion(generator(in_shape=a_shape, out_shape=b_shape)),
            discriminator(),
            reconstruction,
            reconstruction_weight,
            adversarial_weight,
            conditional=False,
        )
