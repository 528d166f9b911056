"""Samples that are tensors of any number of channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.data.image_tensors import grid_of, to_pil
from gan_zoo.data.sample_kinds.base import SampleKind

if TYPE_CHECKING:
    from gan_zoo.data.dataset import Source

CHANNELS = 3
"""Channels that are drawn."""


class Tensors(SampleKind):
    """Tensors ``[C, H, W]``, such as latents of an autoencoder, written as one array in the data's
    own units.

    Args:
        scaling: the values ``[low, high]`` of the data that are -1 and 1 in training; None if they
            are not scaled.
    """

    suffix = ".npy"

    def __init__(self, scaling: Sequence[float] | None = None) -> None:
        self.scaling = check_scaling(scaling)

    def draw(self, samples: Tensor, source: Source) -> Image.Image:
        """The first three channels as RGB, or a single one as gray, on the real data's scale."""
        shown = samples.cpu()[:, :CHANNELS]
        if shown.shape[1] == 2:
            shown = shown[:, :1]
        real = source.samples[: len(samples)]
        low = float(real.min())
        extent = max(float(real.max()) - low, 1e-8)
        return to_pil(grid_of(2 * (shown - low) / extent - 1))

    def write(self, blocks: Iterable[Tensor], target: Path) -> int:
        return write_array((unscaled(block, self.scaling) for block in blocks), target)


def check_scaling(scaling: Sequence[float] | None) -> tuple[float, float] | None:
    """``(low, high)``; raises `DataError` unless it is two rising numbers, or None."""
    if scaling is None:
        return None
    if len(scaling) != 2 or not scaling[0] < scaling[1]:
        raise DataError(
            f"data.scaling must be [low, high] with low < high or null, got {list(scaling)}"
        )
    return float(scaling[0]), float(scaling[1])


def scaled(values: Tensor, scaling: tuple[float, float] | None) -> Tensor:
    """Values of which ``scaling`` becomes -1 and 1."""
    if scaling is None:
        return values
    low, high = scaling
    return 2 * (values - low) / (high - low) - 1


def unscaled(values: Tensor, scaling: tuple[float, float] | None) -> Tensor:
    """The inverse of `scaled`."""
    if scaling is None:
        return values
    low, high = scaling
    return (values + 1) / 2 * (high - low) + low


def write_array(blocks: Iterable[Tensor], target: Path) -> int:
    """Write blocks ``[B, ...]`` as one array ``[N, ...]`` of NumPy's format."""
    samples = torch.cat([block.float() for block in blocks])
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.save(file, samples.numpy())
    return len(samples)
