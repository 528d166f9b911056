"""LSUN, millions of scenes in LMDB files."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_cache import DecodedImages, Decoding, check_on_error, decode_cached
from gan_zoo.data.files.image_io import decode
from gan_zoo.data.splits import check_split

SPLITS = ("train", "val")


def lsun(
    root: str,
    category: str = "bedroom",
    split: str = "train",
    channels: int = 3,
    image_size: ImageSize = 64,
    num_samples: int | None = None,
    on_error: str = "stop",
) -> Source:
    """LSUN (Yu et al. 2015): short sides resized, centers cropped, once into a cache.

    Args:
        root: the folder of ``bedroom_train_lmdb`` and ``bedroom_val_lmdb``; nothing is downloaded.
        category: ``bedroom``, ``church_outdoor``, ...
        split: ``train`` or ``val``, which ``train`` holds out if it exists.
        channels: 1 or 3.
        image_size: S; an image takes ``C * S * S`` bytes of the cache.
        num_samples: only the first so many; null for all.
        on_error: ``stop`` at unreadable images or ``skip`` them.

    Raises:
        DataError: if the package lmdb or the folder is missing, or an image cannot be read.
    """
    held_out = partial(lsun, **{**locals(), "split": "val", "num_samples": None})
    check_split(split, SPLITS)
    check_on_error(on_error)
    if num_samples is not None and num_samples < 1:
        raise DataError(f"data.num_samples must be >= 1 or null, got {num_samples}")
    folder = Path(root).expanduser() / f"{category}_{split}_lmdb"
    if not (folder / "data.mdb").is_file():
        raise DataError(
            f"data=lsun was not found: {folder} must be the unpacked LMDB folder of"
            f" data.category={category}"
        )

    # The validation part is optional.
    val_file = folder.with_name(f"{category}_val_lmdb") / "data.mdb"
    has_val = split == "train" and val_file.is_file()
    decoded = _decoded(folder, Decoding(channels, image_size, on_error), num_samples)
    return Source(
        f"lsun_{category}",
        split,
        decoded.images,
        held_out=held_out if has_val else None,
        fingerprint=decoded.key,
    )


def _decoded(folder: Path, decoding: Decoding, num_samples: int | None) -> DecodedImages:
    """The first ``num_samples`` images of an LMDB folder."""
    try:
        import lmdb
    except ImportError as error:
        raise DataError(
            "data=lsun needs the package lmdb, which is not installed: pip install 'gan-zoo[lsun]'"
        ) from error
    channels = decoding.channels
    image_size = decoding.image_size
    stat = (folder / "data.mdb").stat()
    with lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False) as store:
        total = min(store.stat()["entries"], num_samples or store.stat()["entries"])
        if total == 0:
            raise DataError(f"data=lsun: {folder} has no images")

        # Keys are listed only if the cache has to be written.
        lock = Lock()

        @cache
        def keys() -> list[bytes]:
            with store.begin() as transaction:
                found = transaction.cursor().iternext(keys=True, values=False)
                return [bytes(key) for key, _ in zip(found, range(total), strict=False)]

        def make(row: int) -> np.ndarray[Any, Any]:
            # One thread lists the keys, the others wait.
            with lock:
                name = keys()[row]
            with store.begin() as transaction:
                stored = transaction.get(name)
                assert stored is not None, "the keys were read from the same file"
                return decode(bytes(stored), channels, image_size)

        # A changed database has another size or date.
        names = [f"{folder.name} no. {row}" for row in range(total)]
        key = cache_key(
            "lsun", folder.name, stat.st_size, stat.st_mtime_ns, total, channels, image_size
        )
        return decode_cached("lsun", key, names, decoding, make)
