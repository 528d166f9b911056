"""The super-resolution model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from gan_zoo.core.types import (
    Batch,
    FakeSamples,
    LossTerms,
    Shape,
    TermOutputs,
    Weight,
)
from gan_zoo.models.base import require_images
from gan_zoo.models.translation.paired import PairedTranslation


class SRGAN(PairedTranslation):
    """A generator enlarges images; the discriminator sees large images alone (Ledig et al. 2017,
    eq. 3 to 6).

    With pairs of a small image a and the large image b it was made from, and the activations phi of
    a frozen network,

        L_G = w_r |G(a) - b|^2 + w_p d(phi(G(a)), phi(b)) + w_a adv(D, G(a)).

    The paper's SRGAN has w_r = 0; with w_p = w_a = 0 it is SRResNet, from whose weights the paper
    starts. Adversarial term ``realism``, loss terms ``reconstruction`` and ``perceptual``; terms of
    weight 0 are left out.

    Args:
        generator: makes a network from small to large images, called with ``in_shape`` and
            ``out_shape``.
        discriminator: makes a discriminator of large images.
        reconstruction: distance of images ``(output, target) -> scalar``.
        perceptual: distance of their features ``(output, target) -> scalar``.
        a_shape, b_shape: ``[C, H, W]`` of small and large images.
        reconstruction_weight: w_r.
        perceptual_weight: w_p.
        adversarial_weight: w_a (0.001 in the paper).
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        perceptual: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        reconstruction_weight: Weight = 1.0,
        perceptual_weight: Weight = 0.1,
        adversarial_weight: Weight = 0.001,
    ) -> None:
        a_shape = require_images(a_shape, "model=srgan")
        weights = (reconstruction_weight, perceptual_weight, adversarial_weight)

        # Without any term the generator would not learn.
        if min(weights) < 0 or max(weights) == 0:
            raise ValueError(
                "reconstruction_weight, perceptual_weight and adversarial_weight must be >= 0 and"
                f" not all 0, got {', '.join(map(str, weights))}"
            )
        super().__init__(
            generator(in_shape=a_shape, out_shape=b_shape),
            discriminator(),
            reconstruction,
            reconstruction_weight,
            adversarial_weight,
            conditional=False,
        )

        # Not among the generators, as it is frozen.
        self.perceptual = perceptual
        self.perceptual_weight = perceptual_weight

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        terms: LossTerms = {}
        if self.reconstruction_weight:
            # A term of weight 0 costs no forward pass.
            terms |= super().generator_terms(batch, fakes, outputs)
        if self.perceptual_weight:
            distance = self.perceptual(fakes["fake"], batch.real)
            terms["perceptual"] = self.perceptual_weight * distance
        return terms
