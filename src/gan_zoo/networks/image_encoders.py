"""Networks that map samples to vectors."""

from __future__ import annotations

from torch import Tensor, nn

from gan_zoo.core.types import Count, Shape
from gan_zoo.networks.dcgan import DCGANDiscriminator, dcgan_init
from gan_zoo.networks.layers.shapes import require_image
from gan_zoo.networks.mlp import MLPDiscriminator


class DCGANEncoder(nn.Module):
    """Images ``[B, C, H, W]`` to vectors ``[B, outputs]`` by DCGAN's convolutions.

    Args:
        outputs: size of the vectors.
        sample_shape, width, norm: as in `gan_zoo.networks.dcgan.DCGANDiscriminator`.
    """

    def __init__(
        self, outputs: Count, sample_shape: Shape, width: Count = 64, norm: str = "batch"
    ) -> None:
        super().__init__()
        require_image(sample_shape, "encoder=dcgan")
        discriminator = DCGANDiscriminator(sample_shape, width, norm)
        head = nn.Conv2d(discriminator.out_channels, outputs, discriminator.end)
        head.apply(dcgan_init)
        self.layers = nn.Sequential(discriminator.layers, head, nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        vectors: Tensor = self.layers(x)
        return vectors


class MLPEncoder(nn.Module):
    """Samples ``[B, *sample_shape]`` to vectors ``[B, outputs]`` by dense layers.

    Args:
        outputs: size of the vectors.
        sample_shape, width, depth: as in `gan_zoo.networks.mlp.MLPDiscriminator`.
    """

    def __init__(
        self, outputs: Count, sample_shape: Shape, width: Count = 256, depth: Count = 3
    ) -> None:
        super().__init__()
        hidden = MLPDiscriminator(sample_shape, width, depth).layers
        self.layers = nn.Sequential(*hidden, nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        vectors: Tensor = self.layers(x)
        return vectors
