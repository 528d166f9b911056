"""Pack a folder of images into shards, in parallel and so that a second call continues."""

from __future__ import annotations

import io
import json
import multiprocessing
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path, sha256
from gan_zoo.core.progress import with_progress
from gan_zoo.data.files.cache import cache_key, one_at_a_time
from gan_zoo.data.files.image_io import (
    UNREADABLE,
    ValueRange,
    open_image,
    resize_and_crop,
    why_unreadable,
)
from gan_zoo.data.files.shard_manifest import (
    INDEX,
    LABELS,
    MANIFEST,
    Manifest,
    Shard,
    read_manifest,
)
from gan_zoo.data.files.shards import import_litdata

BEGUN = ".packing"
"""The folder of what is known of a packed folder before it is complete."""
SHARD_BYTES = 512_000_000
"""Of the files of one shard: litdata's tables count to 2**32."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How images are stored.

    Attributes:
        size: side to which short sides are resized, centers are cropped; None for no change.
        quality: of JPEGs, 1 to 100; None for the bytes of the file, or PNG if it is resized.
        value_range: see `ValueRange`.
    """

    size: int | None = None
    quality: int | None = None
    value_range: ValueRange | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise DataError(f"--size must be >= 1, got {self.size}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise DataError(f"--quality must be from 1 to 100, got {self.quality}")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            low, high = self.value_range
            raise DataError(f"--value-range must be LOW HIGH with LOW < HIGH, got {low:g} {high:g}")

    @property
    def most_bytes(self) -> int:
        """About the most that a resized image takes; 0 without resizing."""
        return 0 if self.size is None else 3 * self.size**2

    def encode(self, file: Path) -> bytes:
        """The bytes of an image file that has been decoded without errors.

        Raises:
            ValueError, OSError, SyntaxError: if it cannot be decoded.
        """
        content = file.read_bytes()
        image = open_image(content, 3, self.value_range)
        if self.size is None and self.quality is None:
            return content
        if self.size is not None:
            image = resize_and_crop(image, self.size)
        target = io.BytesIO()
        if self.quality is None:
            image.save(target, "PNG")
        else:
            image.save(target, "JPEG", quality=self.quality)
        return target.getvalue()


@dataclass(frozen=True, slots=True)
class Packed:
    """What a call of `pack` has done.

    Attributes:
        manifest: of the packed folder.
        written: shards written by this call.
    """

    manifest: Manifest
    written: int


def pack(
    folder: Path,
    out: Path,
    encoding: Encoding,
    jobs: int = 1,
    shard_images: int = 2000,
) -> Packed:
    """Pack every image below ``folder`` into shards in ``out``, or what is missing of them.

    Files come in an order that is random and always the same, so that a shard holds all classes.
    Sub-folders are classes, as in `gan_zoo.data.datasets.image_folder.image_folder`.

    Args:
        folder, out: of images, and for the shards.
        encoding: how images are stored.
        jobs: processes.
        shard_images: images of a shard.

    Raises:
        DataError: if there are no readable images, or ``out`` holds something else.
    """
    from gan_zoo.data.files.find import images_in
    from gan_zoo.data.files.image_cache import check_folder
    from gan_zoo.data.files.names import labels_of

    # What there is to do.
    import_litdata()
    for name, value in (("--jobs", jobs), ("--shard-images", shard_images)):
        if value < 1:
            raise DataError(f"{name} must be >= 1, got {value}")
    files = images_in(check_folder(folder, "FOLDER"), "FOLDER")
    labels, classes = labels_of(folder, files)
    numbers = [-1] * len(files) if labels is None else labels.tolist()
    tasks, plan = _plan(folder, files, numbers, encoding, shard_images)

    # One process at a time packs into a folder.
    out.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(out / MANIFEST):
        if (out / MANIFEST).is_file():
            manifest = read_manifest(out / MANIFEST, str(out))
            if manifest.plan != plan:
                raise DataError(_other(out))
            return Packed(manifest, 0)
        _begin(out, plan)
        missing = [number for number in range(len(tasks)) if _record(out, number) is None]
        results = _in_parallel(out, tasks, missing, encoding, jobs)
        for _ in with_progress(results, len(missing), f"Packing {len(files):,} images"):
            pass
        manifest = _finish(out, plan, len(tasks), classes, encoding)
    return Packed(manifest, len(missing))


def _plan(
    folder: Path,
    files: Sequence[Path],
    labels: Sequence[int],
    encoding: Encoding,
    shard_images: int,
) -> tuple[list[Task], str]:
    """The images of each shard, and a key; both are the same for the same files and options."""
    from gan_zoo.data.files.image_cache import size_and_date

    # A changed file has another size or date.
    stats = [(_name(file.relative_to(folder)), *size_and_date(file)) for file in files]
    plan = cache_key(
        stats, encoding.size, encoding.quality, shard_images, *(encoding.value_range or ())
    )

    # A random order, so that a shard holds all classes.
    order = np.random.default_rng(0).permutation(len(files))
    costs = [max(size, encoding.most_bytes) for _, size, _ in stats]
    tasks: list[Task] = [
        [(files[row], stats[row][0], labels[row]) for row in piece]
        for piece in pieces(order.tolist(), costs, shard_images)
    ]
    return tasks, plan


def pieces(rows: Sequence[int], costs: Sequence[int], most: int) -> list[list[int]]:
    """``rows`` in order, cut before more than ``most`` of them or `SHARD_BYTES` are together."""
    cut: list[list[int]] = []
    total = 0
    for row in rows:
        if not cut or len(cut[-1]) == most or total + costs[row] > SHARD_BYTES:
            cut.append([])
            total = 0
        cut[-1].append(row)
        total += costs[row]
    return cut


def _name(file: Path) -> str:
    """A file's name as text, also one that is not UTF-8."""
    return file.as_posix().encode("utf-8", "backslashreplace").decode()


def _other(out: Path) -> str:
    return (
        f"{out} was packed from other files or with other options: give those again, choose"
        " another OUT, or remove it"
    )


def _begin(out: Path, plan: str) -> None:
    """Note what is being packed; raises `DataError` if ``out`` holds something else."""
    noted = out / BEGUN / "plan"
    if noted.is_file():
        if noted.read_text(encoding="utf-8") != plan:
            raise DataError(_other(out))
        return
    if any(not path.name.startswith(".") for path in out.iterdir()):
        raise DataError(f"OUT={out} must be empty, or have been begun by gan-zoo pack")
    with atomic_path(noted) as temporary:
        temporary.write_text(plan, encoding="utf-8")


def _record(out: Path, number: int) -> dict[str, Any] | None:
    """What is known of a complete shard; None if it has to be written."""
    path = out / BEGUN / f"{number}.json"
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    shard = record["shard"]
    if shard is None:  # none of its images could be read
        return record
    file = out / shard["file"]
    whole = file.is_file() and file.stat().st_size == shard["bytes"]
    return record if whole else None


Task = Sequence[tuple[Path, str, int]]
"""Files, names and class numbers of the images of a shard."""


def _in_parallel(
    out: Path, tasks: Sequence[Task], missing: Sequence[int], encoding: Encoding, jobs: int
) -> Iterator[None]:
    """Write the missing shards; one None for each."""
    if jobs == 1:
        for number in missing:
            write_shard(out, number, tasks[number], encoding)
            yield
        return
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if can_fork else "spawn")
    pool = ProcessPoolExecutor(jobs, context)
    pending: set[Future[None]] = set()
    try:  # few at a time, as waiting tasks would take memory
        for number in missing:
            if len(pending) >= 2 * jobs:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
            pending.add(pool.submit(write_shard, out, number, tasks[number], encoding))
        for future in pending:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def write_shard(out: Path, number: int, task: Task, encoding: Encoding) -> None:
    """Write one shard by litdata's writer, and then its record.

    Both are whole or not there.
    """
    # Items; unreadable files are left out. A list, as litdata stores dictionaries as Arrow tables,
    # of which one row cannot be read alone. Names as bytes, as litdata stores the file that a text
    # names, if there is one.
    items = []
    labels = []
    left_out = []
    for file, name, label in task:
        try:
            image = encoding.encode(file)
        except UNREADABLE as error:
            left_out.append(f"{name}: {why_unreadable(error)}")
            continue
        items.append([image, label, name.encode(), zlib.crc32(image)])
        labels.append(label)

    # litdata writes into a folder of its own.
    shard = None
    config = None
    if items:
        with tempfile.TemporaryDirectory(prefix="shard-", dir=out / BEGUN) as folder:
            writer = import_litdata().BinaryWriter(
                folder, chunk_size=len(items), chunk_index=number
            )
            for place, item in enumerate(items):
                writer.add_item(place, item)
            writer.done()
            written = next(Path(folder).glob("*.bin"))
            config = writer.get_config() | {"chunk_size": None}
            digest = sha256(written)
            target = out / f"chunk-0-{number}.bin"
            shard = {"file": target.name, "images": len(items), "sha256": digest}
            shard["bytes"] = written.stat().st_size
            with atomic_path(target) as temporary:
                written.replace(temporary)
    record = {"shard": shard, "config": config, "labels": labels, "left_out": left_out}
    with atomic_path(out / BEGUN / f"{number}.json") as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


def _finish(
    out: Path, plan: str, count: int, classes: list[str] | None, encoding: Encoding
) -> Manifest:
    """Write labels, litdata's index and, last, the manifest."""
    # All shards are there.
    shards = []
    labels: list[int] = []
    left_out: list[str] = []
    config = None
    for number in range(count):
        record = _record(out, number)
        assert record is not None
        left_out += record["left_out"]
        labels += record["labels"]
        if record["shard"] is not None:
            shards.append(Shard(**record["shard"]))
            config = record["config"]
    if not shards:
        raise DataError(
            f"none of the {len(left_out)} images can be read, the first is {left_out[0]}"
        )

    # Class numbers, in the order of the images.
    labels_sha256 = None
    if classes is not None:
        with atomic_path(out / LABELS) as temporary:
            np.save(temporary, np.array(labels, dtype=np.int32))
        labels_sha256 = sha256(out / LABELS)
    _write_index(out, shards, config)

    # With the manifest the folder is complete.
    manifest = Manifest(
        plan,
        len(labels),
        classes,
        encoding.size,
        encoding.quality,
        sorted(left_out),
        labels_sha256,
        shards,
        sha256(out / INDEX),
    )
    with atomic_path(out / MANIFEST) as temporary:
        temporary.write_text(manifest.text(), encoding="utf-8")
    shutil.rmtree(out / BEGUN, ignore_errors=True)
    return manifest


def _write_index(out: Path, shards: Sequence[Shard], config: Any) -> None:
    """Write litdata's own index, so that its StreamingDataset reads the folder, too."""
    chunks = [
        {"chunk_bytes": s.bytes, "chunk_size": s.images, "filename": s.file, "dim": None}
        for s in shards
    ]
    with atomic_path(out / INDEX) as temporary:
        temporary.write_text(json.dumps({"chunks": chunks, "config": config}), encoding="utf-8")
