"""The InceptionV3 of the FID papers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.metrics.extractors.base import Extractor, published
from gan_zoo.networks.fused import FusedConv

FILE = "weights-inception-2015-12-05-6726825d.pth"
HASH_START = "6726825d"
SIDE = 299
RESIZE = ("tf", "clean")
AT_ONCE = 16  # images at a time on a CPU: more do not stay in its caches


class InceptionV3(Extractor):
    """InceptionV3 of 2015, ported from TensorFlow by torch-fidelity: what ``fid`` and ``is`` are
    computed with.

    Features are the 2,048 pooled activations, logits those without the bias (of 1,008 classes), as
    in the reference code of Heusel et al. 2017 and Salimans et al. 2016.

    Args:
        weights: the weights file; None for the one in torch's cache, or a download.
        resize: ``tf`` for TensorFlow 1's bilinear resize without antialiasing, the rule of
            published FIDs (protocol ``fid-tf``); ``clean`` for an antialiased bicubic one (Parmar
            et al. 2022; protocol ``fid-clean``).
        check_hash: refuse a file that is not the published one; without, the protocol says so.

    Raises:
        DataError: if the weights cannot be had, or are not the published ones.
        ImportError: if torch-fidelity is not installed.
    """

    name: ClassVar[str] = "inception"
    num_features, num_classes = 2048, 1008

    def __init__(
        self, weights: str | None = None, resize: str = "tf", check_hash: bool = True
    ) -> None:
        super().__init__()
        if resize not in RESIZE:
            raise ValueError(f"extractor.resize must be one of {', '.join(RESIZE)}, got {resize!r}")

        # The weights, checked against the published hash.
        path = find_weights(weights)
        weights_are = published(path, "extractor.weights", HASH_START, check_hash)

        # The reference network, its normalizations fused into the convolutions.
        self.resize, self.network = resize, _network(path)
        fuse(self.network)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

        # Scores depend on the resize rule, so it names the protocol.
        self.protocol = {
            "extractor": self.name,
            "protocol": f"fid-{resize}",
            **weights_are,
            "resize": "TensorFlow 1 bilinear" if resize == "tf" else "antialiased bicubic",
            "input_size": SIDE,
        }

    def score_name(self, kind: str) -> str:
        return {"fd": "fid"}.get(kind, kind)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            parts = torch.split(images, AT_ONCE) if images.is_cpu else (images,)
            features = torch.cat([self._features(part) for part in parts])
            return features, F.linear(features, self.fc_weight)

    def _features(self, images: Tensor) -> Tensor:
        x = resized(images.float().expand(-1, 3, -1, -1), self.resize)
        x = x.sub_(128).div_(128).contiguous(memory_format=torch.channels_last)
        for layer in self.network:
            x = layer(x)
        return x.mean((2, 3))

    @property
    def fc_weight(self) -> Tensor:
        """The classifier's weights ``[1008, 2048]``; its bias is not used."""
        weight: Tensor = self.network.fc_weight
        return weight


def find_weights(weights: str | None) -> Path:
    """The weights file: the one given, the one in torch's cache, or a fresh download into it."""
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise DataError(
                f"extractor.weights must be a file, got {weights!r}, which does not exist"
            )
        return path

    # The file in torch's cache.
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if path.is_file():
        return path
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    # A download into the cache, whose hash is checked.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=HASH_START)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"the InceptionV3 weights are not in {path.parent} and cannot be downloaded ({error}):"
            f" fetch {FILE} from torch-fidelity's releases elsewhere and give"
            " extractor.weights=FILE, or use extractor=efficientnet_lite0, whose scores have"
            " another name"
        ) from error
    return path


def resized(images: Tensor, rule: str) -> Tensor:
    """float32 images ``[B, 3, H, W]`` in [0, 255] at 299 pixels."""
    if rule == "clean":
        return F.interpolate(
            images, (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False
        ).clamp(0, 255)
    return stretched(stretched(images, 3), 2)


def stretched(images: Tensor, axis: int) -> Tensor:
    """One axis (2 or 3) at 299 pixels by TensorFlow 1's bilinear rule: pixel i is read at i * size
    / 299.
    """
    size = images.shape[axis]
    place = torch.arange(SIDE, dtype=torch.float32, device=images.device) * torch.tensor(
        size / SIDE
    )
    below = place.long()
    share = (place - below).view(-1, *[1] * (3 - axis))
    low = images.index_select(axis, below)
    # The last pixel is its own neighbor.
    high = images.index_select(axis, (below + 1).clamp(max=size - 1))
    return low.add_(high.sub_(low).mul_(share))


class _Trunk(nn.Sequential):
    """The layers in order, and the classifier's weights beside them."""

    fc_weight: Tensor


# In the order in which the reference runs them.
_LAYERS = [
    *(
        "Conv2d_1a_3x3",
        "Conv2d_2a_3x3",
        "Conv2d_2b_3x3",
        "MaxPool_1",
        "Conv2d_3b_1x1",
        "Conv2d_4a_3x3",
        "MaxPool_2",
    ),
    *(
        "Mixed_5b",
        "Mixed_5c",
        "Mixed_5d",
        "Mixed_6a",
        "Mixed_6b",
        "Mixed_6c",
        "Mixed_6d",
        "Mixed_6e",
    ),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c"),
]


def _network(path: Path) -> Any:
    """torch-fidelity's network with the weights of ``path``, as a sequence of its layers."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise ImportError(
            "extractor=inception needs torch-fidelity: pip install 'gan-zoo[fid]'"
        ) from error
    try:
        # Torch-fidelity would unpickle anything.
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(f"extractor.weights={path} is damaged or no weights file") from error
    try:
        make: Callable[..., Any] = FeatureExtractorInceptionV3
        whole = make("inception", ["2048"], feature_extractor_weights_path=str(path))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DataError(f"extractor.weights={path} does not hold InceptionV3 of 2015") from error

    # Its layers in order, and the classifier's weights without the bias.
    trunk = _Trunk(*(getattr(whole, name) for name in _LAYERS))
    trunk.register_buffer("fc_weight", whole.fc.weight.detach().clone())
    return trunk


def fuse(network: nn.Module) -> None:
    """Replace every convolution with its normalization and ReLU by one operation."""
    for module in network.modules():
        for name, child in list(module.named_children()):
            conv, norm = getattr(child, "conv", None), getattr(child, "bn", None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, FusedConv(conv, norm))
