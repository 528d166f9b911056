"""Walks between samples as moving images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.data.image_tensors import grid_of, to_pil

FORMATS = (".gif", ".mp4")


def animation(frames: Tensor, path: Path, side: int = 256, milliseconds: int = 80) -> None:
    """Rows of samples ``[rows, steps, C, H, W]`` as a film that walks there and back: a GIF for
    ever, an MP4 once.

    Args:
        frames: in [-1, 1].
        path: ends in ``.gif`` or ``.mp4``.
        side: small images are enlarged, by a whole factor, to about so many pixels.
        milliseconds: that each image stays.

    Raises:
        DataError: for another ending.
        ModuleNotFoundError: for MP4 without the extra ``mp4``.
    """
    if path.suffix not in FORMATS:
        raise DataError(f"an animation must end in {' or '.join(FORMATS)}, got {path.name!r}")

    # Step k of all rows is one image.
    images = [to_pil(grid_of(frames[:, k])) for k in range(frames.shape[1])]

    # Pixels are repeated, so that they stay sharp.
    factor = max(1, side // max(images[0].size))
    images = [
        p.resize((p.width * factor, p.height * factor), Image.Resampling.NEAREST) for p in images
    ]

    # There and back, with both ends shown once.
    ping_pong = images + images[-2:0:-1]
    write = _gif if path.suffix == ".gif" else _mp4
    with atomic_path(path) as temporary:
        write(ping_pong, temporary, milliseconds)


def _gif(images: Sequence[Image.Image], path: Path, milliseconds: int) -> None:
    images[0].save(path, save_all=True, append_images=images[1:], duration=milliseconds, loop=0)


def _mp4(images: Sequence[Image.Image], path: Path, milliseconds: int) -> None:
    """H.264 that every player plays: its colors need even sides, so an odd one gets a white
    line.
    """
    import imageio_ffmpeg

    width, height = (side + side % 2 for side in images[0].size)
    options = {"fps": 1000 / milliseconds, "codec": "libx264", "quality": 8, "macro_block_size": 2}
    writer = imageio_ffmpeg.write_frames(str(path), (width, height), **options)
    # The writer is a generator, which has to be started.
    writer.send(None)
    try:
        for image in images:
            page = Image.new("RGB", (width, height), "white")
            page.paste(image, (0, 0))
            writer.send(np.ascontiguousarray(page))
    finally:
        writer.close()
