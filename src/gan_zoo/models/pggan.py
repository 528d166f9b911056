"""The model whose networks grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gan_zoo.core.types import AdversarialTerm, Batch, Count, FakeSamples
from gan_zoo.models.gan import GAN


class PGGAN(GAN):
    """Training begins with images of 4x4 pixels; larger sizes are faded in one after the other.

    Karras et al. 2018, section 2. The growth g, in doublings, is a function of the images seen: 0
    for ``stable_images``, then for each doubling up by 1 over ``fade_images`` and constant for
    ``stable_images``. Reals have the resolution of the growth: with g between k - 1 and k

        x_g = (k - g) up(down(x_k)) + (g - k + 1) x_k,

    x_k the reals at size 4 2^k, and are enlarged to the full size by nearest neighbors, so that
    losses and penalties see one shape. Use ``loss=wgan_gp`` with a drift penalty, the paper's.

    Args:
        generator, discriminator: networks that `grow` (`gan_zoo.networks.pggan.Growing`).
        fade_images, stable_images: 600,000 each in the paper.
        latent_dim, prior: as in `GAN`.

    Raises:
        ValueError: for networks that do not grow.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        fade_images: Count = 600_000,
        stable_images: Count = 600_000,
        latent_dim: Count = 512,
        prior: str = "normal",
    ) -> None:
        super().__init__(generator, discriminator, latent_dim, prior)
        self.fade_images = fade_images
        self.stable_images = stable_images

        # Both sides grow together.
        sides = [self.generators, self.discriminators]
        found = [[m for m in side.modules() if hasattr(m, "grow")] for side in sides]
        if not all(found):
            raise ValueError(
                "model=pggan needs networks that grow: generator=pggan and discriminator=pggan"
            )
        self.growing = [network for networks in found for network in networks]
        self.doublings = int(self.growing[0].doublings)  # type: ignore[arg-type]

        # Training begins at the smallest size.
        self.on_progress(0)

    def on_progress(self, images_seen: int) -> None:
        for network in self.growing:
            network.grow(self.growth_after(images_seen))  # type: ignore[operator]

    def growth_after(self, images_seen: int) -> float:
        """The growth after ``images_seen`` images, from 0 to the number of doublings."""
        stages, rest = divmod(images_seen, self.fade_images + self.stable_images)
        # A stage is constant first, then fades in the next one.
        faded = max(0, rest - self.stable_images) / self.fade_images
        return min(float(self.doublings), stages + faded)

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        real = at_growth(batch.real, self.growing[0].growth_on_host())  # type: ignore[operator]
        return [replace(term, real=real) for term in super().adversarial_terms(batch, fakes)]


def at_growth(x: Tensor, growth: float) -> Tensor:
    """Images ``[B, C, S, S]`` with the resolution of ``growth`` doublings from 4x4."""
    size = x.shape[-1]
    used = int(-(-growth // 1))
    images = avg_pool2d(x, size // (4 * 2**used))

    # A new size is mixed with the size before.
    faded_in = growth - used + 1
    if faded_in < 1:
        smaller = interpolate(avg_pool2d(images, 2), scale_factor=2.0)
        images = torch.lerp(smaller, images, faded_in)
    return interpolate(images, (size, size))
