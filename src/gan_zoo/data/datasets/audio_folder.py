"""A folder of sound files: nested or not, of any length and sample rate."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from gan_zoo.core.errors import DataError
from gan_zoo.core.paths import cache_root
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.image_folder import in_split_order, source_of_folder
from gan_zoo.data.files.audio_io import SUFFIXES, Sound, read_sound, soundfile
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.find import find_files
from gan_zoo.data.files.image_cache import check_folder, check_on_error, decode_all, size_and_date
from gan_zoo.data.files.names import names_below
from gan_zoo.data.sample_kinds.audio import Audio
from gan_zoo.data.splits import check_split

DECODED_BY = "mean of channels, resample_poly, first samples: version 1"


def audio_folder(
    root: str,
    length: Count = 16384,
    sample_rate: Count = 16000,
    on_error: str = "stop",
    split: str = "train",
    test_share: float = 0.0,
) -> Source:
    """Every sound below ``root``, decoded and resampled once into a memory-mapped cache.

    Sounds in sub-folders are labeled by their first folder; a flat folder has no labels. Channels
    are averaged; long sounds are cut, short ones padded with silence.

    Args:
        root: the folder.
        length: T, samples of a sound ``[1, T]``.
        sample_rate: samples a second.
        on_error: ``stop`` at unreadable files, naming them, or ``skip`` them.
        split: ``train``, ``test`` or ``all``.
        test_share: fraction that is held out by a hash of the names, in [0, 1).

    Raises:
        DataError: if there is no folder or no sound, one is unreadable, an option is invalid, or
            the extra ``audio`` is not installed.
    """
    held_out = partial(audio_folder, **{**locals(), "split": "test"})
    kind = Audio(sample_rate)
    check_split(split)
    check_on_error(on_error)
    soundfile()

    # Files in the order of the split, training first.
    folder = check_folder(Path(root).expanduser(), "data.root", "sounds")
    files = in_split_order(folder, sounds_in(folder), test_share)

    # A changed file has another size or date.
    names = names_below(folder, files)
    stats = [(name, *size_and_date(file)) for name, file in zip(names, files, strict=True)]
    key = cache_key("audio_folder", DECODED_BY, stats, length, sample_rate)
    path = cache_root() / "sounds" / f"folder-{length}-{key}.npy"

    def make(row: int) -> Sound:
        return read_sound(files[row], length, sample_rate)

    listed = [str(file) for file in files]
    decoded = decode_all(path, key, listed, on_error, make, (1, length), np.float32, "sounds")
    return source_of_folder(folder, files, decoded, split, test_share, held_out, "sounds", kind)


def sounds_in(folder: Path) -> list[Path]:
    """The sound files below ``folder``; raises `DataError` if there are none."""
    files = find_files(folder, SUFFIXES)
    if not files:
        raise DataError(f"data.root={folder} has no sounds ({', '.join(SUFFIXES)})")
    return files
