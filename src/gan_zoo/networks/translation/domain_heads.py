"""StarGAN v2's networks with one head for each domain: mapping, style encoder, discriminator."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear, relu

from gan_zoo.core.types import Count, DiscriminatorOutput, Positive, Shape
from gan_zoo.networks.translation.adaptive_translator import (
    SLOPE,
    PreactivationBlock,
    doubled_widths,
)
from gan_zoo.networks.translation.content_style import he_init


class SlowLinear(nn.Module):
    """x (m W)^T + m b, m W from N(0, 2 / inputs) and b from 0.

    Adam's steps do not depend on the scale of gradients: m W changes as if its learning rate were
    m times that of the optimizer. Weight decay does depend on it, and is 1 / m^2 times as strong.

    Args:
        inputs, outputs: sizes.
        lr_multiplier: m.
        heads: number of independent maps, of inputs ``[heads, B, inputs]``; None for one.
    """

    def __init__(
        self, inputs: Count, outputs: Count, lr_multiplier: Positive, heads: Count | None = None
    ) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        shape = () if heads is None else (heads,)
        std = math.sqrt(2 / inputs) / lr_multiplier
        self.weight = nn.Parameter(torch.randn(*shape, outputs, inputs) * std)
        self.bias = nn.Parameter(torch.zeros(*shape, outputs))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight * self.lr_multiplier, self.bias * self.lr_multiplier
        if weight.ndim == 2:
            return linear(x, weight, bias)
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))


class DomainMapping(nn.Module):
    """F: latents ``[B, latent_dim]`` and one-hot domains ``[B, num_classes]`` to styles ``[B,
    outputs]``.

    Layers that all domains share, then as many for each domain (Choi et al. 2020, section 2.1 and
    appendix); the style is that of the sample's domain.

    Args:
        latent_dim: size of the latents.
        outputs: size of the styles.
        num_classes: number of domains.
        hidden: units of each layer (512 in the paper).
        depth: layers that are shared, and layers of each domain (4 in the paper).
        lr_multiplier: factor on the learning rate (0.01 in the paper).
    """

    def __init__(
        self,
        latent_dim: Count,
        outputs: Count,
        num_classes: Count,
        hidden: Count = 512,
        depth: Count = 4,
        lr_multiplier: Positive = 0.01,
    ) -> None:
        super().__init__()
        if min(hidden, depth) < 1 or not lr_multiplier > 0:
            raise ValueError(
                "hidden and depth must be >= 1 and lr_multiplier > 0, got"
                f" {hidden}, {depth} and {lr_multiplier}"
            )

        # The shared half of the layers, then as many for each domain.
        inputs = [latent_dim, *[hidden] * (depth - 1)]
        sizes = [*[hidden] * (depth - 1), outputs]
        self.shared = nn.ModuleList(SlowLinear(size, hidden, lr_multiplier) for size in inputs)
        self.heads = nn.ModuleList(
            SlowLinear(hidden, size, lr_multiplier, num_classes) for size in sizes
        )
        self.num_classes = num_classes

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        hidden = latents
        for layer in self.shared:
            hidden = relu(layer(hidden))

        # Every domain's layers, with a ReLU between them.
        styles = hidden.expand(self.num_classes, -1, -1)
        for number, layer in enumerate(self.heads):
            styles = layer(styles if number == 0 else relu(styles))
        return of_classes(styles.transpose(0, 1), classes)


class ImageTrunk(nn.Module):
    """Images ``[B, C, H, W]`` to vectors ``[B, outputs]``: halvings until the shorter side has 4 to
    7 pixels, then one convolution over all places.

    Args:
        sample_shape: ``[C, H, W]``, at least 8 pixels.
        width: channels after the first layer; they double up to ``max_width``.
        max_width: largest number of channels.
        network: its name in messages.

    Attributes:
        outputs: size of the vectors.
    """

    def __init__(self, sample_shape: Shape, width: Count, max_width: Count, network: str) -> None:
        super().__init__()
        if min(width, max_width) < 1:
            raise ValueError(f"width and max_width must be >= 1, got {width} and {max_width}")
        if len(sample_shape) != 3 or min(sample_shape[1:]) < 8:
            raise ValueError(
                f"{network} works on images of at least 8 pixels; the data's sample_shape is"
                f" {list(sample_shape)}"
            )

        # Halvings until the shorter side has 4 to 7 pixels.
        halvings = int(math.log2(min(sample_shape[1:]) / 4))
        widths = doubled_widths(width, max_width, halvings)
        blocks = [
            PreactivationBlock(c_in, c_out, "none", down=True) for c_in, c_out in pairwise(widths)
        ]
        self.outputs = widths[-1]
        self.first = nn.Conv2d(sample_shape[0], widths[0], 3, padding=1)
        self.blocks = nn.Sequential(*blocks)

        # One convolution over what is left of all places.
        end = [side // 2**halvings for side in sample_shape[1:]]
        self.last = nn.Conv2d(widths[-1], widths[-1], (end[0], end[1]))

    def forward(self, x: Tensor) -> Tensor:
        maps = leaky_relu(self.blocks(self.first(x)), SLOPE)
        vectors: Tensor = leaky_relu(self.last(maps).flatten(1), SLOPE)
        return vectors


class DomainStyleEncoder(nn.Module):
    """E: images ``[B, C, H, W]`` and their one-hot domains ``[B, num_classes]`` to styles ``[B,
    outputs]``.

    One linear map for each domain on shared layers without normalization (Choi et al. 2020, section
    2.1 and appendix).

    Args:
        outputs: size of the styles.
        num_classes: number of domains.
        sample_shape: ``[C, H, W]``, at least 8 pixels.
        width: channels after the first layer (64 at 256 pixels in the paper).
        max_width: largest number of channels (512 in the paper).
    """

    def __init__(
        self,
        outputs: Count,
        num_classes: Count,
        sample_shape: Shape,
        width: Count = 64,
        max_width: Count = 512,
    ) -> None:
        super().__init__()
        self.trunk = ImageTrunk(sample_shape, width, max_width, "the style encoder")
        self.heads = nn.Linear(self.trunk.outputs, num_classes * outputs)
        self.num_classes = num_classes
        self.apply(he_init)

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        styles = self.heads(self.trunk(x)).unflatten(1, (self.num_classes, -1))
        return of_classes(styles, classes)


class DomainDiscriminator(nn.Module):
    """Images ``[B, C, H, W]`` and their one-hot domains ``[B, condition_dim]`` to scores ``[B]``.

    One score for each domain on shared layers, of which that of the sample's domain counts (Choi et
    al. 2020, section 2.1 and appendix). Conditions between two domains give scores between theirs.

    Args:
        sample_shape: ``[C, H, W]``, at least 8 pixels.
        condition_dim: number of domains.
        width, max_width: as in `DomainStyleEncoder`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        condition_dim: Count,
        width: Count = 64,
        max_width: Count = 512,
    ) -> None:
        super().__init__()
        self.trunk = ImageTrunk(
            sample_shape, width, max_width, "discriminator=domain_discriminator"
        )
        self.heads = nn.Linear(self.trunk.outputs, condition_dim)
        self.apply(he_init)

    def forward(self, x: Tensor, condition: Tensor) -> DiscriminatorOutput:
        vectors = self.trunk(x)
        scores = of_classes(self.heads(vectors)[:, :, None], condition).squeeze(1)
        return DiscriminatorOutput(scores, x, features=(vectors,))


def of_classes(outputs: Tensor, classes: Tensor) -> Tensor:
    """Of the outputs of all heads ``[B, K, D]`` those of the sample's own, ``[B, D]``."""
    own: Tensor = (outputs * classes[:, :, None]).sum(1)
    return own
