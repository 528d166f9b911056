"""Networks that turn images into features, with everything that makes their numbers
reproducible.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import sha256
from gan_zoo.data.dataset import Source


class Extractor(nn.Module):
    """uint8 images to features and class logits.

    Attributes:
        name: goes into the scores' names (``fd_<name>``).
        num_features, num_classes: sizes of what `forward` returns; no classes, no Inception score.
        protocol: what a reader needs to reproduce the features: weights' hash, resize rule, input
            size.
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
        """Make ready to see ``source`` and what imitates it; most extractors are ready as they
        are.
        """
        self.to(device)

    def score_name(self, kind: str) -> str:
        """What a score of this ``kind`` (``fd``, ``is``, ``kid``, ...) over these features is
        called.
        """
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
            f"{argument}={file} is not the published file: its SHA-256 begins with {digest[:8]},"
            f" not with {hash_start}; extractor.check_hash=false uses it all the same"
        )
    warning = "not the published weights: no score of this extractor is comparable with any"
    return {"weights_sha256": digest, "warning": warning}
