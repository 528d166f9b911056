"""DINOv2's ViT-S/14, from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.metrics.extractors.base import Extractor, published

FILE = "dinov2_vits14_pretrain.pth"
HASH_START = "b938bf1b"
SIDE, PATCH = 224, 14
GRID = SIDE // PATCH
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DINOv2(Extractor):
    """DINOv2 ViT-S/14 (Oquab et al. 2023), self-supervised: Frechet distances over it follow
    people's judgement closer than those over InceptionV3 (Stein et al. 2023).

    Features are the 384 numbers of the class token after the last normalization. Images are resized
    (antialiased bicubic) to 224 pixels and normalized as ImageNet. There are no classes, and so no
    Inception score.

    Args:
        path: the published file ``dinov2_vits14_pretrain.pth``.
        check_hash: refuse a file that is not the published one; without, the protocol says so.

    Raises:
        DataError: if there is no such file, or it is not the published one.
        ImportError: if timm is not installed.
    """

    name: ClassVar[str] = "dinov2"
    num_features, num_classes = 384, 0
    mean: Tensor
    std: Tensor

    def __init__(self, path: str | None = None, check_hash: bool = True) -> None:
        super().__init__()

        # The weights, checked against the published hash.
        file = require_file(path)
        weights_are = published(file, "extractor.path", HASH_START, check_hash)
        self.network = _network(file)
        self.eval().requires_grad_(False)

        # Images are uint8, so ImageNet's mean and spread are scaled to 255.
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1) * 255, persistent=False)
        self.protocol = {
            "extractor": self.name,
            "architecture": "ViT-S/14",
            **weights_are,
            "resize": "antialiased bicubic",
            "input_size": SIDE,
        }

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            features: Tensor = self.network(self.normalized(images))
            return features, features.new_empty(len(features), 0)

    def normalized(self, images: Tensor) -> Tensor:
        """What the network sees of uint8 images, ``[B, 3, 224, 224]``."""
        x = images.float().expand(-1, 3, -1, -1)
        if x.shape[-2:] != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 255)
        return (x - self.mean) / self.std


def require_file(path: str | None) -> Path:
    """The checkpoint, or a `DataError` that says which one is needed."""
    if path is None:
        raise DataError(
            f"extractor=dinov2 needs its weights: extractor.path=FILE, the published {FILE} of"
            " DINOv2"
        )
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"extractor.path must be a file, got {path!r}, which does not exist")
    return file


def _network(path: Path) -> nn.Module:
    """timm's network with the weights of ``path``."""
    try:
        from timm.models.vision_transformer import vit_small_patch14_dinov2
    except ImportError as error:
        raise ImportError("extractor=dinov2 needs timm: pip install 'gan-zoo[dinov2]'") from error

    # The weights alone: nothing else in the file is unpickled.
    try:
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(f"extractor.path={path} is damaged or no weights file") from error
    network: nn.Module = vit_small_patch14_dinov2(pretrained=False, img_size=SIDE, num_classes=0)
    try:
        positions = placed(weights["pos_embed"])
        known = {name: tensor for name, tensor in weights.items() if name != "mask_token"}
        network.load_state_dict(known | {"pos_embed": positions})
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"extractor.path={path} does not hold DINOv2's ViT-S/14") from error
    return network


def placed(positions: Tensor) -> Tensor:
    """Position embeddings ``[1, 1 + 37 * 37, F]`` of 518 pixels for 224, ``[1, 1 + 16 * 16, F]``.

    Bicubic without antialiasing at the scale (16 + 0.1) / 37, as DINOv2's own code has it: its
    features depend on it.
    """
    side = round((positions.shape[1] - 1) ** 0.5)

    # The class token has no place in the grid and keeps its embedding.
    grid = positions[:, 1:].view(1, side, side, -1).permute(0, 3, 1, 2)
    scale = (GRID + 0.1) / side
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)
