"""Where the samples of tar files are, found once and kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.core.paths import cache_root
from gan_zoo.core.progress import with_progress
from gan_zoo.data.files.cache import cache_key, one_at_a_time
from gan_zoo.data.files.tar_members import PLACES, Wanted, read_samples

VERSION = 1


@dataclass(frozen=True, slots=True)
class TarIndex:
    """Where the samples of tars are, in the order of the tars.

    Attributes:
        counts: samples of each tar, ``[T]``.
        images: first byte and size of each image in its tar, ``[N, 2]`` int64.
        partners: the same of second images; None without.
        labels: class numbers ``[N]`` int64; None without.
        captions: N captions; None without.
    """

    counts: np.ndarray[Any, Any]
    images: np.ndarray[Any, Any]
    partners: np.ndarray[Any, Any] | None
    labels: np.ndarray[Any, Any] | None
    captions: list[str] | None

    def save(self, path: Path) -> None:
        """Write the index; captions become JSON, as nothing in the file is pickled."""
        captions = self.captions
        text = None if captions is None else np.frombuffer(json.dumps(captions).encode(), np.uint8)
        arrays: dict[str, Any] = {"counts": self.counts, "images": self.images, "captions": text}
        arrays |= {"partners": self.partners, "labels": self.labels}
        given = {name: array for name, array in arrays.items() if array is not None}
        np.savez(path, **given)

    @classmethod
    def load(cls, path: Path) -> TarIndex:
        """The index that `save` has written."""
        with np.load(path) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        text = arrays.get("captions")
        return cls(
            arrays["counts"],
            arrays["images"],
            arrays.get("partners"),
            arrays.get("labels"),
            None if text is None else json.loads(text.tobytes()),
        )


def tar_index(paths: Sequence[Path], stats: Sequence[tuple[int, int]], wanted: Wanted) -> TarIndex:
    """The index of tar files, from the cache unless one of them is new or has changed.

    Of several processes on a machine one makes it, and the others wait.

    Args:
        paths: the files.
        stats: their sizes and dates.
        wanted: what every sample must have.

    Raises:
        DataError: if a file is no complete tar, or a sample is not as it should be.
    """
    files = [(str(path.resolve()), *stat) for path, stat in zip(paths, stats, strict=True)]
    key = cache_key("webdataset", VERSION, files, wanted.captions, wanted.partner)
    path = cache_root() / "webdataset" / f"{key}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(path):
            if not path.exists():
                index = _index_all(paths, wanted)
                with atomic_path(path) as temporary:
                    index.save(temporary)
    return TarIndex.load(path)


def _index_all(paths: Sequence[Path], wanted: Wanted) -> TarIndex:
    """The index of all files, of which some are read at a time; raises `DataError` as
    `tar_index`.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        found = pool.map(partial(index_tar, wanted=wanted), paths)
        parts = list(with_progress(found, len(paths), f"Indexing {len(paths):,} tar files (once)"))

    # A writer of shards may leave one without samples.
    filled = [(path, part) for path, part in zip(paths, parts, strict=True) if len(part.images)]
    if not filled:
        raise DataError(
            f"{PLACES} must hold tar files with samples such as 000.jpg, {paths[0]} has none"
        )

    # Classes are those of all samples, or of none.
    labeled = {part.labels is not None: path for path, part in filled}
    if len(labeled) > 1:
        raise DataError(
            f"{labeled[False]} has samples without .cls, {labeled[True]} samples with: all samples"
            " must have one, or none"
        )

    def joined(name: str) -> np.ndarray[Any, Any] | None:
        arrays = [getattr(part, name) for _, part in filled]
        return None if arrays[0] is None else np.concatenate(arrays)

    images = joined("images")
    assert images is not None
    captions = [caption for _, part in filled for caption in part.captions or ()]
    return TarIndex(
        np.concatenate([part.counts for part in parts]),
        images,
        joined("partners"),
        joined("labels"),
        captions if wanted.captions else None,
    )


def index_tar(path: Path, wanted: Wanted) -> TarIndex:
    """The index of one file; raises `DataError` as `tar_index`."""
    samples = list(read_samples(path, wanted))

    # Classes are those of all samples, or of none.
    lacking = [sample.key for sample in samples if sample.label is None]
    if lacking and len(lacking) < len(samples):
        raise DataError(
            f"{path}: the sample {lacking[0]!r} has no .cls, others have: all samples must have"
            " one, or none"
        )
    has_partners = wanted.partner is not None
    captions = [sample.caption or "" for sample in samples]
    return TarIndex(
        np.array([len(samples)]),
        np.array([sample.image for sample in samples], np.int64),
        np.array([sample.partner for sample in samples], np.int64) if has_partners else None,
        None if lacking else np.array([sample.label for sample in samples], np.int64),
        captions if wanted.captions else None,
    )
