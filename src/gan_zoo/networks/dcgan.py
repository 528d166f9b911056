"""DCGAN's convolutional networks.

Radford et al. 2016, section 3: strided and transposed convolutions instead of pooling, batch
normalization in both except at G's output and D's input, no hidden fully connected layers, ReLU in
G with tanh at the end, LeakyReLU in D. All weights start from N(0, 0.02).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape
from gan_zoo.networks.layers.conditional_norm import ConditionalSequential, ConditionInput
from gan_zoo.networks.layers.heads import Heads, run_layers
from gan_zoo.networks.layers.minibatch_statistics import MinibatchStatistic
from gan_zoo.networks.layers.normalization import (
    apply_spectral_norm,
    initialize,
    needs_bias,
    norm_layer,
)
from gan_zoo.networks.layers.shapes import rectangular_image


def dcgan_init(module: nn.Module) -> None:
    """Weights from N(0, 0.02), scales of normalization layers from N(1, 0.02), biases zero."""
    weight = getattr(module, "weight", None)
    bias = getattr(module, "bias", None)

    # Scales are the only weights with a single dimension.
    if isinstance(weight, Tensor) and isinstance(bias, Tensor | None):
        is_scale = weight.ndim == 1
        nn.init.normal_(weight, 1.0 if is_scale else 0.0, 0.02)
        if bias is not None:
            nn.init.zeros_(bias)


def _widths(halvings: int, width: int) -> list[int]:
    """Channels from the small end to the last hidden layer: each step towards the image halves
    them.
    """
    return [width * 2**k for k in reversed(range(halvings))]


class DCGANGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` and optional conditions to images ``[B, C, H, W]`` in (-1, 1).

    Args:
        latent_dim: size of the latents.
        sample_shape: ``[C, H, W]`` with sides as in `rectangular_image`.
        width: channels before the last layer; they double towards the 4x4 end (the paper's 64
            pixels: 128).
        norm: ``batch`` as in the paper, or as in `ConditionInput`.
        condition_dim: size of the condition's vectors; None for an unconditional generator.
    """

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        width: Count = 64,
        norm: str = "batch",
        condition_dim: int | None = None,
    ) -> None:
        super().__init__()
        channels, halvings, end = rectangular_image(sample_shape, "generator=dcgan")
        widths = _widths(halvings, width)
        self.condition = ConditionInput(norm, condition_dim)
        inputs = latent_dim + self.condition.extra_inputs

        # From 1x1 to the small end, 4x4 for 64x64, then doublings up to the size of the image.
        layers: list[nn.Module] = [nn.Unflatten(1, (inputs, 1, 1))]
        layers += self._up(inputs, widths[0], 1, 0, end)
        for c_in, c_out in pairwise(widths):
            layers += self._up(c_in, c_out, 2, 1)
        # No normalization of the output.
        last = apply_spectral_norm(nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), norm)
        self.layers = ConditionalSequential(*layers, last, nn.Tanh())
        initialize(self, dcgan_init)

    def _up(
        self, c_in: int, c_out: int, stride: int, padding: int, kernel: tuple[int, int] = (4, 4)
    ) -> list[nn.Module]:
        bias = self.condition.needs_bias
        up = nn.ConvTranspose2d(c_in, c_out, kernel, stride, padding, bias=bias)
        conv = apply_spectral_norm(up, self.condition.norm)
        return [conv, self.condition.layer(c_out), nn.ReLU(inplace=True)]

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        images: Tensor = self.layers(self.condition.first_inputs(latents, condition), condition)
        return images


class DCGANDiscriminator(nn.Module):
    """Images ``[B, C, H, W]`` to a `DiscriminatorOutput` with scores ``[B]``.

    The last activations, 4x4 for 64x64, are its feature.

    Args:
        sample_shape: ``[C, H, W]`` with sides as in `rectangular_image`.
        width: channels after the first layer; they double towards the 4x4 end.
        norm: ``batch`` as in the paper, or another name of `norm_layer`.
        minibatch: ``none``, or a `MinibatchStatistic` of the last activations: ``stddev`` or
            ``difference``.
        aux_outputs, condition_dim, fusion: as in `Heads`.
    """

    keep_local: bool = False

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 64,
        norm: str = "batch",
        minibatch: str = "none",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        # Strided convolutions down to 4x4 of 64x64; the first one without normalization.
        channels, halvings, end = rectangular_image(sample_shape, "discriminator=dcgan")
        widths = list(reversed(_widths(halvings, width)))
        normalize = norm_layer(norm)
        layers: list[nn.Module] = [
            apply_spectral_norm(nn.Conv2d(channels, widths[0], 4, 2, 1), norm)
        ]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
        for c_in, c_out in pairwise(widths):
            down = nn.Conv2d(c_in, c_out, 4, 2, 1, bias=needs_bias(norm))
            layers += [
                apply_spectral_norm(down, norm),
                normalize(c_out),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers)
        # Up to the last convolution.
        self.num_local_layers = len(layers) - (3 if len(widths) > 1 else 0)
        self.out_channels = widths[-1]
        self.end = end

        # Scores from the last activations and the batch statistic.
        self.minibatch = nn.Identity() if minibatch == "none" else MinibatchStatistic(minibatch)
        last = widths[-1] + (minibatch != "none")
        self.heads = Heads([last, *end], aux_outputs, condition_dim, fusion, norm)
        initialize(self, dcgan_init)
        self.heads.initialize_projection()

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        h, local = run_layers(self.layers, x, self.num_local_layers if self.keep_local else None)
        output: DiscriminatorOutput = self.heads(self.minibatch(h), x, condition)
        return replace(output, local=local)
