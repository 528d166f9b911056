"""Samples that are images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from gan_zoo.data.image_tensors import grid_of, to_pil, to_uint8
from gan_zoo.data.sample_kinds.base import SampleKind

if TYPE_CHECKING:
    from gan_zoo.data.dataset import Source


class Images(SampleKind):
    """Images ``[C, H, W]`` in [-1, 1], C 1 or 3, written as PNG files ``000000.png`` ... of a
    folder.
    """

    is_image = True

    def draw(self, samples: Tensor, source: Source) -> Image.Image:
        return to_pil(grid_of(samples))

    def write(self, blocks: Iterable[Tensor], target: Path) -> int:
        target.mkdir(parents=True, exist_ok=True)
        written = 0
        for block in blocks:
            for sample in to_uint8(block):
                to_pil(sample).save(target / f"{written:06d}.png")
                written += 1
        return written
