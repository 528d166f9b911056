"""Packed images, read by their numbers from shards in the format of litdata."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import sha256
from gan_zoo.core.paths import URLS, cache_root
from gan_zoo.data.files.cache import cache_key, one_at_a_time
from gan_zoo.data.files.shard_files import ShardFiles
from gan_zoo.data.files.shard_manifest import (
    INDEX,
    LABELS,
    MANIFEST,
    Manifest,
    Shard,
    damage,
    index_damage,
    not_packed,
    read_manifest,
)

ABANDONED = 3600.0
"""Seconds after which a download that has not become a shard is removed."""


class Shards:
    """Images of a packed folder, each read by its number.

    Shards of a URL are downloaded when first needed, verified, and kept in a cache of limited size.
    Processes of one machine share it. An instance can be used after a fork and be pickled.

    Args:
        root: a folder, or a URL that begins like one of `gan_zoo.core.paths.URLS`.
        cache_size: bytes of the cache of a URL; the shards opened longest ago are deleted first.
        open_files: shards that a process keeps open; a deleted one takes space until it is closed.

    Raises:
        DataError: if there are no packed images, or a file is missing or has another size.
    """

    def __init__(self, root: str, cache_size: float = 20e9, open_files: int = 32) -> None:
        is_url = root.startswith(URLS)
        self.root = root.rstrip("/") if is_url else str(Path(root).expanduser())
        self.cache_size = cache_size
        self.cache: Path | None = cache_root() / "streaming" / cache_key(self.root)
        self._decoder: Any = None
        if not is_url:
            self.cache = None

        # Manifest and labels; the shards of a URL are verified when they come.
        self.manifest = self._manifest()
        self.labels = self._labels()
        self.config = self._config()
        if self.cache is None:
            for shard in self.manifest.shards:
                complaint = damage(Path(self.root, shard.file), shard, hashed=False)
                if complaint is not None:
                    raise DataError(f"{complaint}; gan-zoo pack {self.root} --check lists all")
        elif max(shard.bytes for shard in self.manifest.shards) > cache_size:
            raise DataError(f"data.cache_size={cache_size:g} is smaller than a shard of {root}")
        counts = [shard.images for shard in self.manifest.shards]
        self.files = ShardFiles(counts, open_files, self._start)

    def __len__(self) -> int:
        return self.manifest.images

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_decoder": None}

    def name(self, row: int) -> str:
        """Where the image file number ``row`` is, for messages."""
        number, place = self.files.locate(row)
        shard = self.manifest.shards[number]
        return f"{self.root}/{shard.file}: image number {place + 1} of {shard.images}"

    def read(self, row: int) -> bytes:
        """The bytes of the image file number ``row``.

        Raises:
            DataError: if they are not those that were packed.
        """
        # The place of the item in its shard.
        number, place = self.files.locate(row)
        file, offsets = self.files.open(number)
        start, end = int(offsets[place]), int(offsets[place + 1])

        # litdata decodes its format; the checksum is ours.
        raw = os.pread(file.fileno(), end - start, start)
        self._prepare()
        try:
            image, _, _, checksum = self._decode(raw)
            intact = zlib.crc32(image) == checksum
        except Exception:  # whatever a decoder raises on damaged bytes
            intact = False
        if not intact:
            name = f"{self.root}/{self.manifest.shards[number].file}"
            raise DataError(
                f"{name} is damaged: image {place} of {len(offsets) - 1} is not the one that was"
                f" packed; gan-zoo pack OUT --check lists all damaged files"
            )
        return image

    def _start(self, number: int) -> tuple[BinaryIO, np.ndarray[Any, Any]]:
        """The open file of a shard and where its items begin and end."""
        shard = self.manifest.shards[number]
        if self.cache is None:
            path = Path(self.root, shard.file)
            file = path.open("rb")
        else:
            path, file = self._cached(shard)

        # litdata's format: the number of items, then where each begins and the last one ends.
        offsets = np.frombuffer(os.pread(file.fileno(), 4 * (shard.images + 1), 4), np.uint32)
        if len(offsets) != shard.images + 1:
            raise DataError(f"{path} is damaged: it ends in its table of items")
        return file, offsets

    def _prepare(self) -> None:
        """Make litdata's decoder of items, once in each process."""
        if self._decoder is None:
            litdata = import_litdata()
            config = dict(self.config)
            config["data_spec"] = litdata.treespec_loads(config["data_spec"])
            self._decoder = litdata.PyTreeLoader()
            self._decoder.setup(config, [], litdata.serializers)

    def _decode(self, raw: bytes) -> tuple[bytes, int, bytes | str, int]:
        """An item of litdata: image file, class number, name, checksum of the image file."""
        image, label, name, checksum = self._decoder.load_item_from_bytes(raw, 0)
        return bytes(image), label, name, checksum

    def _manifest(self) -> Manifest:
        if self.cache is None:
            path = Path(self.root, MANIFEST)
            if not path.is_file():
                raise DataError(not_packed(self.root))
            return read_manifest(path, self.root)
        with tempfile.TemporaryDirectory() as folder:
            return read_manifest(self._download(MANIFEST, Path(folder)), self.root)

    def _labels(self) -> np.ndarray[Any, Any] | None:
        """Class numbers, if there are classes."""
        expected = self.manifest.labels_sha256
        if expected is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(self.root, LABELS)
            if self.cache is not None:
                path = self._download(LABELS, Path(folder))
            if not path.is_file() or sha256(path) != expected:
                raise DataError(f"{self.root}/{LABELS} is missing or damaged")
            labels: np.ndarray[Any, Any] = np.load(path)
        return labels

    def _config(self) -> dict[str, Any]:
        """How litdata has written the items."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(self.root, INDEX)
            if self.cache is not None:
                path = self._download(INDEX, Path(folder))
            if index_damage(path, self.manifest) is not None:
                raise DataError(f"{self.root}/{INDEX} is missing or damaged")
            config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["config"]
        return config

    def _download(self, name: str, folder: Path) -> Path:
        """The file ``name`` of the URL, in ``folder``."""
        downloader = import_litdata().get_downloader(self.root, str(folder), [])
        try:
            downloader.download_file(f"{self.root}/{name}", str(folder / name))
        except Exception as error:  # of any of the packages for clouds
            reason = " ".join((str(error) or type(error).__name__).split())[:200]
            raise DataError(f"data.root={self.root}: {name} cannot be read: {reason}") from error
        if not (folder / name).is_file():
            raise DataError(f"data.root={self.root}: {name} was not downloaded")
        return folder / name

    def _cached(self, shard: Shard) -> tuple[Path, Any]:
        """The path and the open file of a shard of a URL, downloaded and verified unless it is in
        the cache.
        """
        assert self.cache is not None
        path = self.cache / f"{shard.sha256[:16]}-{shard.file}"
        self.cache.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(path):
            # Other processes may delete it at any time, so it is opened before it is looked at.
            try:
                file = path.open("rb")
                whole = os.fstat(file.fileno()).st_size == shard.bytes
                if not whole:
                    file.close()
            except FileNotFoundError:
                whole = False
            if not whole:
                free_space(self.cache, self.cache_size - shard.bytes)
                with tempfile.TemporaryDirectory(prefix=".", dir=self.cache) as folder:
                    download = self._download(shard.file, Path(folder))
                    complaint = damage(download, shard, hashed=True)
                    if complaint is not None:
                        raise DataError(f"{self.root}: {complaint}")
                    file = download.open("rb")
                    download.replace(path)
            with suppress(FileNotFoundError):
                os.utime(path)
        return path, file


def free_space(cache: Path, limit: float) -> None:
    """Delete the shards opened longest ago until ``cache`` has at most ``limit`` bytes.

    Whoever has one open can read it to its end.
    """
    # Downloads of processes that were killed.
    for folder in cache.glob(".*"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)

    # Other processes may delete files, too.
    found = []
    for file in cache.glob("*.bin"):
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue
        found.append((stat.st_mtime_ns, stat.st_size, file))
    total = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if total <= limit:
            return
        file.unlink(missing_ok=True)
        total -= size


@dataclass(frozen=True, slots=True)
class LitData:
    """The parts of litdata that are used.

    Attributes:
        BinaryWriter: writes shards.
        PyTreeLoader: decodes items.
        get_downloader: makes what downloads files of a URL.
        treespec_loads: reads the structure of items.
        serializers: of the types of values.
    """

    BinaryWriter: Any
    PyTreeLoader: Any
    get_downloader: Any
    treespec_loads: Any
    serializers: Any


def import_litdata() -> LitData:
    """litdata, imported when needed; raises ModuleNotFoundError without it."""
    import litdata  # noqa: F401 - so that the error names it, not a part of it
    from litdata.streaming.downloader import get_downloader
    from litdata.streaming.item_loader import PyTreeLoader
    from litdata.streaming.serializers import _get_serializers
    from litdata.streaming.writer import BinaryWriter
    from litdata.utilities._pytree import treespec_loads

    return LitData(
        BinaryWriter, PyTreeLoader, get_downloader, treespec_loads, _get_serializers(None)
    )
