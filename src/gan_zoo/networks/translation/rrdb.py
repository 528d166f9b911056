"""ESRGAN's generator, which enlarges images without normalization."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import Count, Shape
from gan_zoo.networks.translation.content_style import he_init
from gan_zoo.networks.translation.super_resolution import doublings_of

RESIDUAL_SCALE = 0.2
DENSE_BLOCKS = 3
GROWING_LAYERS = 4
FIRST_WEIGHTS = 0.1


class DenseBlock(nn.Module):
    """x + 0.2 f(x): five convolutions, each of which sees the outputs of all before it.

    Wang et al. 2018 (ESRGAN), section 3.1; Huang et al. 2017 for dense connections. Weights start
    at a tenth of He's (section A of the supplement), so that the block is nearly the identity.

    Args:
        channels: C of the activations ``[B, C, H, W]``.
        growth: channels of each convolution but the last.
    """

    def __init__(self, channels: Count, growth: Count) -> None:
        super().__init__()
        # Dense connections: each layer sees the block's input and all outputs before it.
        inputs = [channels + k * growth for k in range(GROWING_LAYERS + 1)]
        outputs = [*[growth] * GROWING_LAYERS, channels]
        convs = [
            nn.Conv2d(c_in, c_out, 3, padding=1)
            for c_in, c_out in zip(inputs, outputs, strict=True)
        ]
        self.layers = nn.ModuleList(convs)

        # Small weights at first, so that residual blocks begin near the identity.
        for layer in convs:
            he_init(layer)
            with torch.no_grad():
                layer.weight.mul_(FIRST_WEIGHTS)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for layer in self.layers[:-1]:
            seen = torch.cat([seen, F.leaky_relu(layer(seen), 0.2)], 1)
        y: Tensor = x + RESIDUAL_SCALE * self.layers[-1](seen)
        return y


class ResidualInResidual(nn.Module):
    """RRDB: x + 0.2 f(x), f being three `DenseBlock` in sequence.

    Args:
        channels, growth: as in `DenseBlock`.
    """

    def __init__(self, channels: Count, growth: Count) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(DENSE_BLOCKS)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + RESIDUAL_SCALE * self.layers(x)
        return y


class RRDBNet(nn.Module):
    """ESRGAN's generator: dense residual blocks at the input's size, then doublings.

    Wang et al. 2018, "ESRGAN", section 3.1 and figure 4. Doublings repeat pixels, followed by a
    convolution. No layer normalizes: statistics of batches bring artifacts and differ between
    training and test.

    Maps ``[B, C_in, H, W]`` of any size to ``[B, C_out, s H, s W]`` in (-1, 1).

    Args:
        in_shape, out_shape: ``[C, H, W]`` and ``[C, s H, s W]`` with a scale s of 1, 2, 4, 8, ...
        width: channels (64 in the paper).
        blocks: RRDBs (23 in the paper).
        growth: channels that each dense layer adds (32 in the authors' program).
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 64,
        blocks: Count = 23,
        growth: Count = 32,
    ) -> None:
        super().__init__()
        doublings = doublings_of(in_shape, out_shape, "rrdb")
        self.multiple = 1  # images of any size

        # Features, residual blocks around which they are led, doublings, an image.
        def conv(c_in: int, c_out: int) -> nn.Module:
            return nn.Conv2d(c_in, c_out, 3, padding=1)

        self.first = conv(in_shape[0], width)
        self.body = nn.Sequential(
            *(ResidualInResidual(width, growth) for _ in range(blocks)), conv(width, width)
        )
        doubled: list[nn.Module] = []
        for _ in range(doublings):
            doubled += [nn.Upsample(scale_factor=2), conv(width, width), nn.LeakyReLU(0.2)]
        self.enlarge = nn.Sequential(*doubled)
        self.last = nn.Sequential(
            conv(width, width), nn.LeakyReLU(0.2), conv(width, out_shape[0]), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        y: Tensor = self.last(self.enlarge(features + self.body(features)))
        return y
