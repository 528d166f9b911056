"""Images that are not images of samples."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gan_zoo.data.dataset import Source

_REAL, _FAKE = (176, 176, 176), (200, 30, 60)


def scatter(samples: Tensor, source: Source, path: Path, size: int = 512) -> None:
    """Draw generated points ``[B, 2]`` in red over as many real ones in gray, on the real data's
    scale.
    """
    real = source.samples[: len(samples)]

    # The scale is that of the real points, with a margin.
    center, extent = (
        source.samples.mean(0),
        1.25 * float((source.samples - source.samples.mean(0)).abs().max()),
    )
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    for points, color in ((real, _REAL), (samples, _FAKE)):
        # Points that are far off, or not finite, end up outside the image.
        pixels = (((points - center) / extent + 1) / 2 * size).nan_to_num(-9).clamp(-9, size + 9)
        for x, y in torch.stack([pixels[:, 0], size - pixels[:, 1]], 1).tolist():
            draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=color)
    image.save(path)
