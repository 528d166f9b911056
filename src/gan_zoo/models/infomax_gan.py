"""The model whose discriminator keeps what is common to the places of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm

from gan_zoo.core.types import (
    Batch,
    Count,
    DiscriminatorOutput,
    FakeSamples,
    LossTerms,
    Shape,
    TermOutputs,
    Weight,
    run_discriminator,
)
from gan_zoo.models.gan import GAN


class Projection(nn.Module):
    """W_3 relu(W_2 x) + W_1 x, with spectrally normalized matrices: ``[..., F]`` to ``[..., R]``.

    Args:
        inputs: F.
        outputs: R.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.hidden = spectral_norm(nn.Linear(inputs, inputs))
        self.out = spectral_norm(nn.Linear(inputs, outputs))
        self.skip = spectral_norm(nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(relu(self.hidden(x))) + self.skip(x)
        return y


class InfoMaxDiscriminator(nn.Module):
    """A discriminator whose ``aux`` are projections of its local and global features.

    ``aux`` is (local ``[B, N, R]``, global ``[B, R]``), N the places of its ``local`` activations.

    Args:
        discriminator: its output has ``local`` activations and ``features``.
        sample_shape: ``[C, H, W]``.
        dim: R.

    Raises:
        ValueError: if the discriminator has no local activations.
    """

    def __init__(self, discriminator: nn.Module, sample_shape: Shape, dim: int) -> None:
        super().__init__()
        self.discriminator = discriminator

        # Networks keep these large activations only on request.
        for network in discriminator.modules():
            if hasattr(network, "keep_local"):
                network.keep_local = True  # type: ignore[assignment]

        # The sizes of the features, without a change of the network's state; packs of up to four
        # samples divide twelve.
        training = discriminator.training
        with torch.no_grad():
            output = run_discriminator(discriminator.eval(), torch.zeros(12, *sample_shape))
        discriminator.train(training)
        if output.local is None:
            raise ValueError(
                "model=infomax_gan needs a discriminator that shows its local activations, such as"
                f" dcgan or resnet, got {type(discriminator).__name__}"
            )
        self.local = Projection(output.local.shape[1], dim)
        self.globals = Projection(output.features[0].flatten(1).shape[1], dim)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        output = run_discriminator(self.discriminator, x)
        assert output.local is not None
        places = output.local.flatten(2).transpose(1, 2)
        projected = (self.local(places), self.globals(output.features[0].flatten(1)))
        return replace(output, aux=projected)


class InfoMaxGAN(GAN):
    """Discriminator and generator maximize the mutual information of local and global features.

    Lee et al. 2021, eq. 8 and 9: with I the bound of `LocalGlobalInfoNCE`

        L_D = l_D + b I(x),   L_G = l_G + a I(G(z)),

    against the discriminator's forgetting and the generator's collapse. Term of both sides:
    ``information``.

    Args:
        generator: called with ``latent_dim``.
        discriminator: makes a discriminator whose output has ``local`` activations.
        contrast: ``(local, global) -> scalar``.
        sample_shape: ``[C, H, W]``.
        discriminator_weight, generator_weight: b and a; 0.2 in the paper.
        projection_dim: R; 1024 in the paper.
        latent_dim, prior: as in `GAN`.
    """

    # Images are compared with each other: parts of a batch have fewer pairs.
    mean_of_samples: bool = False

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        contrast: nn.Module,
        sample_shape: Shape,
        discriminator_weight: Weight = 0.2,
        generator_weight: Weight = 0.2,
        projection_dim: Count = 1024,
        latent_dim: Count = 128,
        prior: str = "normal",
    ) -> None:
        def with_projections() -> nn.Module:
            return InfoMaxDiscriminator(discriminator(), sample_shape, projection_dim)

        super().__init__(generator, with_projections, latent_dim, prior)
        self.contrast = contrast
        self.discriminator_weight = discriminator_weight
        self.generator_weight = generator_weight

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        real = outputs[0].real
        assert real is not None
        return {"information": self.discriminator_weight * self.contrast(*real.aux)}

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        return {"information": self.generator_weight * self.contrast(*outputs[0].fake.aux)}
