"""The model whose generator is scored at several depths under noise (GAT)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    DiscriminatorOutput,
    FakeSamples,
    Shape,
)
from gan_zoo.models.conditional_gan import ConditionalGAN
from gan_zoo.models.conditioning import accepts
from gan_zoo.models.gan import GAN

COARSEST_SIGNAL = 0.125
LEAST_NOISE = 0.01


class GAT(GAN):
    """A transformer whose images of growing depth are scored together, the coarse ones under noise.

    Hyun et al. 2025, "Scalable GANs with Transformers" (arXiv 2509.24935). The generator gives an
    image for each of L levels, x_0 to x_{L-1}; each real is repeated L times. Images, augmented
    with the same random numbers, are blurred by noise as in `NoisyLevels`, stacked on channels, and
    scored by one discriminator, to any loss: ``loss=rpgan`` with `ApproximateR1` and
    `ApproximateR2` in the paper. Samples are images of the last level.

    Not as in the paper: the discriminator does not regress features of DINOv2; images are pixels
    and not latents of an autoencoder; the approximate R1 moves the L copies of a real
    independently of each other.

    Args:
        generator: made as in `GAN`, with a further argument ``levels``; called with ``all_levels``
            it returns ``[B, L C, H, W]``, the samples last.
        discriminator: called with ``sample_shape`` ``[L C, H, W]``.
        sample_shape: ``[C, H, W]`` of one image.
        levels: L, 4 in the paper.
        latent_dim, prior: as in `GAN`.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        sample_shape: Shape,
        levels: Count = 4,
        latent_dim: Count = 64,
        prior: str = "normal",
    ) -> None:
        networks = with_levels(generator, discriminator, sample_shape, levels)
        super().__init__(*networks, latent_dim, prior)
        self.channels, self.levels = sample_shape[0], levels

    def generate(self, batch: Batch) -> FakeSamples:
        inputs = self.generator_inputs(self.request_for(batch), self.generators)
        images = self.generators["main"](*inputs, all_levels=True)
        return {"fake": images[:, -self.channels :], "coarse": images[:, : -self.channels]}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        real = batch.real.repeat(1, self.levels, 1, 1)
        fake = torch.cat([fakes["coarse"], fakes["fake"]], 1)
        terms = super().adversarial_terms(batch, fakes)
        return [replace(term, real=real, fake=fake) for term in terms]


class ConditionalGAT(GAT, ConditionalGAN):
    """`GAT` whose generator and discriminator are given the same condition, classes in the paper.

    Args:
        generator, discriminator, sample_shape, levels: as in `GAT`.
        condition, fusion, latent_dim, prior: as in `ConditionalGAN`.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        sample_shape: Shape,
        condition: Callable[[], Any],
        fusion: str = "projection",
        levels: Count = 4,
        latent_dim: Count = 64,
        prior: str = "normal",
    ) -> None:
        networks = with_levels(generator, discriminator, sample_shape, levels)
        ConditionalGAN.__init__(
            self, *networks, condition, fusion, latent_dim=latent_dim, prior=prior
        )
        self.channels, self.levels = sample_shape[0], levels


class NoisyLevels(nn.Module):
    """A discriminator of stacks of L images ``[B, L C, H, W]``, each under noise of its own level.

    Image i becomes (1 - t_i) x_i + e_i with e_i ~ N(0, t_i^2 I) and the t_i of `noise_levels`. The
    noise is cumulative: that of a level is the noise of the next finer one, scaled as the images
    are, and more of it, so that a coarser copy of an image says nothing that a finer one does not.
    Random numbers come from torch's default generators, as those of augmentations. The output
    carries the images as they came.

    Args:
        discriminator: of stacks.
        levels: L.
    """

    mixing: Tensor
    signal: Tensor

    def __init__(self, discriminator: nn.Module, levels: Count) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.levels = levels
        self.register_buffer("mixing", cumulative_mixing(levels), persistent=False)
        signal = 1 - torch.tensor(noise_levels(levels))
        self.register_buffer("signal", signal, persistent=False)
        # Losses ask the wrapper what they would ask the discriminator.
        if hasattr(discriminator, "energy"):
            self.energy = discriminator.energy

    def forward(self, x: Tensor, *condition: Any) -> DiscriminatorOutput:
        output = self.discriminator(self.blur(x), *condition)
        if isinstance(output, DiscriminatorOutput):
            return replace(output, x=x)
        return DiscriminatorOutput(output, x)

    def blur(self, x: Tensor) -> Tensor:
        """The images ``[B, L C, H, W]`` under new noise."""
        images = x.reshape(x.shape[0], self.levels, -1, *x.shape[2:])
        noise = torch.einsum("ij,bj...->bi...", self.mixing.to(x), torch.randn_like(images))
        blurred = self.signal.to(x)[:, None, None, None] * images + noise
        return blurred.reshape(x.shape)


def noise_levels(count: int) -> list[float]:
    """t_i = 1 - 0.125^(1 - i / (count - 1)) + 0.01, from the coarsest level to the finest."""
    finest = max(count - 1, 1)
    shares = [(count - 1 - i) / finest for i in range(count)]
    return [1 - COARSEST_SIGNAL**share + LEAST_NOISE for share in shares]


def cumulative_mixing(count: int) -> Tensor:
    """The matrix that maps independent noise of each level to cumulative noise, ``[L, L]``.

    From the finest level on, e_i = r e_{i+1} + sqrt(t_i^2 - r^2 t_{i+1}^2) n_i with r = (1 - t_i)
    / (1 - t_{i+1}).
    """
    mixing = torch.zeros(count, count, dtype=torch.float64)
    before = torch.zeros(count, dtype=torch.float64)
    finer = 0.0

    # From the finest level on, which comes last.
    for i, t in reversed(list(enumerate(noise_levels(count)))):
        ratio = (1 - t) / (1 - finer)
        before = ratio * before
        # Variances add up: what is missing to t squared is new noise.
        before[i] = math.sqrt(t**2 - ratio**2 * finer**2)
        mixing[i] = before
        finer = t
    return mixing.float()


def with_levels(
    generator: Callable[..., nn.Module],
    discriminator: Callable[..., nn.Module],
    sample_shape: Shape,
    levels: int,
) -> tuple[Callable[..., nn.Module], Callable[..., nn.Module]]:
    """Factories of a generator with ``levels``, and of a discriminator of their noisy stack.

    Raises:
        ValueError: if the samples are not images, or the generator has no levels.
    """
    # Levels are stacked on channels, which only images have.
    if len(sample_shape) != 3:
        raise ValueError(
            f"model=gat works on images; the data's sample_shape is {list(sample_shape)}: use"
            " model=gan for vectors"
        )
    if not accepts(generator, "levels"):
        raise ValueError("model=gat needs a generator with levels: use generator=vit")

    # The discriminator sees all levels of a sample at once.
    channels, *size = sample_shape

    def noisy_discriminator(**arguments: Any) -> nn.Module:
        network = discriminator(sample_shape=[levels * channels, *size], **arguments)
        return after_augmentation(network, partial(NoisyLevels, levels=levels))

    return partial(generator, levels=levels), noisy_discriminator


def after_augmentation(
    discriminator: nn.Module, make: Callable[[nn.Module], nn.Module]
) -> nn.Module:
    """``make(discriminator)``, inside of the augmentation if there is one."""
    insert = getattr(discriminator, "insert", None)
    network: nn.Module = make(discriminator) if insert is None else insert(make)
    return network
