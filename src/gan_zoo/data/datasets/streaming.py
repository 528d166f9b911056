"""Packed images, read by number from shards in a folder or behind a URL."""

from __future__ import annotations

import hashlib
import sys
from functools import partial
from typing import Any

import numpy as np
import torch

from gan_zoo.core.distributed import is_first_here
from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, ImageSize, Weight
from gan_zoo.data.dataset import Source
from gan_zoo.data.encoded_images import streamed
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_io import ValueRange, check_channels, check_value_range
from gan_zoo.data.files.shards import Shards, import_litdata
from gan_zoo.data.window_shuffle import WindowShuffle, check_window


def streaming(
    root: str,
    channels: int = 3,
    image_size: ImageSize = 64,
    window: Count = 16,
    cache_size: Weight = 20e9,
    test_root: str | None = None,
    value_range: ValueRange | None = None,
) -> Source:
    """Images that ``gan-zoo pack`` wrote, decoded when a batch needs them.

    Neither memory nor disk holds the decoded images; a URL's shards are in a cache of limited size.
    Pixels are those of `gan_zoo.data.datasets.image_folder.image_folder` on the packed files.

    Args:
        root: a folder, or a URL that litdata reads: s3://, gs://, azure://, hf://datasets/.
        channels, image_size: 1 or 3, and S; short sides are resized to S, centers cropped.
        window: shards among which samples are mixed, see `WindowShuffle`.
        cache_size: bytes of disk for shards of a URL, at least window + 1 of the largest.
        test_root: held-out images, packed like these; None for none.
        value_range: black and white of more than 8 bits, where the format does not define them.

    Raises:
        DataError: if litdata is not installed, there are no packed images, or files are damaged.
    """
    of_test = {**locals(), "root": test_root, "test_root": None}
    check_channels(channels)
    check_value_range(value_range)
    shards = _open_shards(root, window, cache_size)
    manifest = shards.manifest

    # The images, which nothing has read yet.
    samples = streamed(shards, channels, image_size, value_range)
    digest = hashlib.sha256(manifest.text().encode()).hexdigest()
    if is_first_here():
        line = f"{root}: {manifest.images:,} images in {len(manifest.shards)} shards"
        print(line, file=sys.stderr)
    return Source(
        root.rstrip("/").rpartition("/")[2],
        "all" if test_root is None else "train",
        samples,
        None if shards.labels is None else torch.from_numpy(shards.labels.astype(np.int64)),
        classes=manifest.classes,
        held_out=None if test_root is None else partial(_held_out, manifest.classes, **of_test),
        permute=WindowShuffle([shard.images for shard in manifest.shards], window),
        fingerprint=cache_key("streaming", digest, channels, image_size, *(value_range or ())),
    )


def _open_shards(root: str, window: int, cache_size: float) -> Shards:
    """The packed images; raises `DataError` without litdata, or where the cache has no room for a
    window.
    """
    # Any other missing module is a bug.
    try:
        import_litdata()
    except ModuleNotFoundError as error:
        if error.name != "litdata":
            raise
        raise DataError(
            "data=streaming needs the package litdata, which is not installed: pip install"
            " 'gan-zoo[streaming]'"
        ) from error
    check_window(window)

    # Samples of up to window + 1 shards are mixed, see `WindowShuffle`.
    shards = Shards(root, cache_size, window + 1)
    sizes = [shard.bytes for shard in shards.manifest.shards]
    if shards.cache is not None and min(window + 1, len(sizes)) * max(sizes) > cache_size:
        raise DataError(
            f"data.cache_size={cache_size:g} is less than the {window + 1} shards of up to"
            f" {max(sizes):,} bytes that data.window={window} reads at a time"
        )
    return shards


def _held_out(classes: list[str] | None, **arguments: Any) -> Source:
    """The held-out images; raises `DataError` unless their classes are those of training."""
    source = streaming(**arguments)
    if source.classes != classes:
        raise DataError(
            f"data.test_root must have the classes of data.root, {classes}, got {source.classes}"
        )
    return source
