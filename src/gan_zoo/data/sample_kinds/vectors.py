"""Samples that are vectors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.data.sample_kinds.base import SampleKind
from gan_zoo.data.sample_kinds.tensors import write_array

if TYPE_CHECKING:
    from gan_zoo.data.dataset import Source

REAL, FAKE = (176, 176, 176), (200, 30, 60)
SIDE = 512


class Vectors(SampleKind):
    """Vectors ``[D]``, written as one array ``[N, D]``."""

    suffix = ".npy"
    per_image = 10

    def draw(self, samples: Tensor, source: Source) -> Image.Image:
        """The first two numbers of the generated vectors in red over as many real ones in gray, on
        the real data's scale.
        """
        if samples.shape[1] < 2:
            raise DataError("vectors of one number cannot be drawn")
        real = source.samples[: len(samples), :2]

        # The scale is that of the real points, with a margin.
        points = source.samples[:, :2]
        center = points.mean(0)
        extent = 1.25 * float((points - center).abs().max())
        image = Image.new("RGB", (SIDE, SIDE), "white")
        pen = ImageDraw.Draw(image)
        for drawn, color in ((real, REAL), (samples[:, :2], FAKE)):
            # Points that are far off, or not finite, end up outside the image.
            pixels = ((drawn - center) / extent + 1) / 2 * SIDE
            pixels = pixels.nan_to_num(-9).clamp(-9, SIDE + 9)
            for x, y in torch.stack([pixels[:, 0], SIDE - pixels[:, 1]], 1).tolist():
                pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=color)
        return image

    def write(self, blocks: Iterable[Tensor], target: Path) -> int:
        return write_array(blocks, target)
