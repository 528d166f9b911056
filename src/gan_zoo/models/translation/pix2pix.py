"""The paired translation model."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gan_zoo.core.types import Shape, Weight
from gan_zoo.models.base import require_images
from gan_zoo.models.translation.paired import PairedTranslation


class Pix2Pix(PairedTranslation):
    """A translator learns from pairs (a, b); the discriminator scores b together with a (Isola et
    al. 2017, eq. 4).

    L_G = adv(D, G(a) | a) + w |G(a) - b|. Adversarial term ``realism``, conditioned on a; loss term
    ``reconstruction``.

    Args:
        generator: makes a translator, called with ``in_shape`` and ``out_shape``.
        discriminator: makes a discriminator, called with ``condition_channels``.
        reconstruction: distance ``(output, target) -> scalar``.
        a_shape, b_shape: ``[C, H, W]`` of inputs and targets.
        reconstruction_weight: w (100 in the paper).
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        reconstruction_weight: Weight = 100.0,
    ) -> None:
        a_shape = require_images(a_shape, "model=pix2pix")

        # The discriminator sees the input's channels, too.
        super().__init__(
            generator(in_shape=a_shape, out_shape=b_shape),
            discriminator(condition_channels=a_shape[0]),
            reconstruction,
            reconstruction_weight,
        )
