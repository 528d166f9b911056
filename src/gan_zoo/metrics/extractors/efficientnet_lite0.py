"""Features of EfficientNet-Lite0, the default extractor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.core.files import sha256
from gan_zoo.metrics.extractors.base import Extractor
from gan_zoo.networks.pretrained.efficientnet_lite0 import lite0, packaged_weights


class EfficientNetLite0(Extractor):
    """ImageNet EfficientNet-Lite0 (Tan & Le 2019), whose weights come with the installation.

    Features are the 1,280 pooled activations before the classifier. Images are resized (antialiased
    bilinear) to ``image_size``; the network was trained at 224, smaller sizes are faster and see
    less.

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
        self.trunk, self.classifier = lite0()
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.protocol = {
            "extractor": self.name,
            "weights_sha256": sha256(packaged_weights()),
            "resize": "antialiased bilinear",
            "input_size": image_size,
        }

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            x = images.float().expand(-1, 3, -1, -1)
            if x.shape[-2:] != (self.image_size, self.image_size):
                x = F.interpolate(
                    x, (self.image_size, self.image_size), mode="bilinear", antialias=True
                )
            # The scale that the network was trained with.
            x = ((x - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)
            features = self.trunk(x).mean((2, 3))
            return features, self.classifier(features)
