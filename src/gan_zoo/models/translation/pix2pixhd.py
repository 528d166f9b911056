"""The paired translation model that matches the discriminator's features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.comparable_outputs import comparable_outputs, is_augmented
from gan_zoo.core.types import (
    Batch,
    DiscriminatorOutput,
    FakeSamples,
    LossTerms,
    Shape,
    TermOutputs,
    Weight,
    at_least_float32,
)
from gan_zoo.models.base import require_images
from gan_zoo.models.translation.pix2pix import Pix2Pix


class Pix2PixHD(Pix2Pix):
    """pix2pix with the distance of activations in the discriminators, in place of that of images.

    Wang et al. 2018, eq. 3 to 5. With f_ki the activations of layer i of the discriminator of scale
    k,

        L_G = mean over k of [adv(D_k, G(a) | a) + w_f sum_i |f_ki(b | a) - f_ki(G(a) | a)|],

    each distance a mean over its activations, and those of reals without gradient. The paper has
    the sum over k. Adversarial term ``realism``, loss term ``features``; ``reconstruction`` is
    added where it has a weight.

    Args:
        generator, discriminator, reconstruction, a_shape, b_shape: as in `Pix2Pix`.
        feature_weight: w_f (10 in the paper).
        reconstruction_weight: as in `Pix2Pix` (0 in the paper, or 10 with a perceptual distance).
    """

    generator_sees_real: ClassVar[bool] = True

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        feature_weight: Weight = 10.0,
        reconstruction_weight: Weight = 0.0,
    ) -> None:
        a_shape = require_images(a_shape, "model=pix2pixhd")
        if feature_weight < 0:
            raise ValueError(f"feature_weight must be >= 0, got {feature_weight}")
        super().__init__(
            generator, discriminator, reconstruction, a_shape, b_shape, reconstruction_weight
        )
        self.feature_weight = feature_weight

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        (output,) = outputs
        assert output.real is not None
        fake, real = output.fake, output.real

        # Activations are compared place by place, so both must be augmented alike.
        term = output.term
        if is_augmented(term.discriminator):
            both = [(term.fake, term.fake_condition), (term.real, term.real_condition)]
            rng = batch.rng.derive("features")
            fake, real = comparable_outputs(term.discriminator, both, rng)
        terms = {"features": self.feature_weight * feature_distance(fake, real)}
        if self.reconstruction_weight > 0:
            terms |= super().generator_terms(batch, fakes, outputs)
        return terms


def feature_distance(fake: DiscriminatorOutput, real: DiscriminatorOutput) -> Tensor:
    """The mean over scales of the sums over layers of the mean absolute differences of activations;
    those of ``real`` are constants.

    Raises:
        ValueError: if the discriminator shows none.
    """
    scales = zip(fake.parts or (fake,), real.parts or (real,), strict=True)
    # Reals are targets here, so no gradient flows through their features.
    distances = [
        (at_least_float32(ours) - at_least_float32(theirs.detach())).abs().mean()
        for of_fake, of_real in scales
        for ours, theirs in zip(of_fake.features, of_real.features, strict=True)
    ]
    if not distances:
        raise ValueError(
            "matching features needs a discriminator that shows them, such as"
            " multi_scale_patchgan with discriminator.all_features=true"
        )

    # The sum over layers, but the mean over scales.
    return torch.stack(distances).sum() / max(1, len(fake.parts))
