"""The model whose discriminator also tells by how much an image was rotated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gan_zoo.core.types import (
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    Shape,
    TermOutputs,
    Weight,
    run_discriminator,
)
from gan_zoo.models.gan import GAN

ROTATIONS = 4


class SSGAN(GAN):
    """A discriminator with a second head Q that classifies rotations by 0, 90, 180 and 270 degrees.

    Chen et al. 2019, eq. 5 and 6. With r uniform and x^r the rotated image

        L_D += w_d E_x E_r CE(Q(x^r), r),   L_G += w_g E_z E_r CE(Q(G(z)^r), r):

    Q learns from reals alone, and the generator makes images whose rotation it can tell.
    Adversarial terms see upright images. Every image is rotated by an angle of its own, drawn at
    random; the authors rotate a quarter of the batch by all four. Term of both sides: ``rotation``.

    Augmentations apply after the rotation. Those that rotate by right angles themselves (``blit``
    of ``augment=ada``) hide the angle.

    Args:
        generator: called with ``latent_dim``.
        discriminator: called with ``aux_outputs``.
        sample_shape: ``[C, S, S]``; rotations need square images.
        discriminator_weight: w_d; 1 in the paper.
        generator_weight: w_g; 0.2 in the paper.
        latent_dim, prior: as in `GAN`.

    Raises:
        ValueError: for samples that are not square images.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        sample_shape: Shape,
        discriminator_weight: Weight = 1.0,
        generator_weight: Weight = 0.2,
        latent_dim: Count = 128,
        prior: str = "normal",
    ) -> None:
        if len(sample_shape) != 3 or sample_shape[1] != sample_shape[2]:
            raise ValueError(
                "model=ssgan rotates square images: data.sample_shape must be [C, S, S], got"
                f" {list(sample_shape)}"
            )
        # The rotation is classified by a second head.
        super().__init__(generator, lambda: discriminator(aux_outputs=ROTATIONS), latent_dim, prior)
        self.discriminator_weight = discriminator_weight
        self.generator_weight = generator_weight

    def rotation_loss(self, x: Tensor, batch: Batch, purpose: str) -> Tensor:
        """CE(Q(x^r), r), the mean over ``x`` with a random r for each."""
        quarters = batch.rng.randint(purpose, len(x), 0, ROTATIONS)
        output = run_discriminator(self.discriminators["main"], rotated(x, quarters))
        return nn.functional.cross_entropy(output.aux.float(), quarters)

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        loss = self.rotation_loss(batch.real, batch, "rotations of reals")
        return {"rotation": self.discriminator_weight * loss}

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        loss = self.rotation_loss(fakes["fake"], batch, "rotations of fakes")
        return {"rotation": self.generator_weight * loss}


def rotated(x: Tensor, quarters: Tensor) -> Tensor:
    """Square images ``x [B, C, S, S]`` rotated left by ``quarters`` ``[B]`` right angles."""
    every_angle = torch.stack([x.rot90(k, (2, 3)) for k in range(ROTATIONS)])
    return every_angle[quarters, torch.arange(len(x), device=x.device)]
