"""What a folder of packed images holds, with hashes, and whether it is all there."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import sha256

MANIFEST = "gan_zoo.json"
INDEX = "index.json"
LABELS = "labels.npy"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of packed images.

    Attributes:
        file: its name.
        images: how many it holds.
        bytes: its size.
        sha256: of its bytes.
    """

    file: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What has been packed.

    Attributes:
        plan: hash of the names, sizes and dates of the files, and of the options.
        images: readable ones.
        classes: names of the classes, in the order of their numbers; None without classes.
        size: side to which images were cropped and resized; None for their own size.
        quality: of JPEGs; None for no loss.
        left_out: unreadable files.
        labels_sha256: of `LABELS`; None without classes.
        shards: the files, in the order of the images.
        index_sha256: of `INDEX`; None in what was packed before it was kept.
        version: of this format.
    """

    plan: str
    images: int
    classes: list[str] | None
    size: int | None
    quality: int | None
    left_out: list[str]
    labels_sha256: str | None
    shards: list[Shard]
    index_sha256: str | None = None
    version: int = VERSION

    def text(self) -> str:
        """The manifest as JSON."""
        values = asdict(self)
        # What was packed before has no such hash, and stays the same data.
        if self.index_sha256 is None:
            del values["index_sha256"]
        return json.dumps(values, indent=1) + "\n"


def read_manifest(path: Path, root: str) -> Manifest:
    """The manifest in the file ``path``; raises `DataError` naming ``root`` if it is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))

        # Another version has other fields, which would look like damage.
        if values["version"] != VERSION:
            raise DataError(
                f"{root} was packed in format {values['version']}, this version of gan_zoo reads"
                f" {VERSION}: pack the images again"
            )

        # Anything else that is not as packing writes it is damage.
        shards = [Shard(**shard) for shard in values["shards"]]
        if not shards or not all(map(_is_sound, shards)):
            raise ValueError("its list of shards is not one that gan-zoo pack writes")
        return Manifest(**values | {"shards": shards})
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{root}/{MANIFEST} is damaged: {error}") from error


def _is_sound(shard: Shard) -> bool:
    """Whether an entry names a file of our own, so that nothing outside the folder is meant."""
    named = re.fullmatch(r"chunk-\d+-\d+\.bin", shard.file) is not None
    return named and re.fullmatch("[0-9a-f]{64}", shard.sha256) is not None and shard.images > 0


def check_shards(root: Path) -> list[str]:
    """One line for each damaged or missing file of a packed folder, by size and hash.

    Raises:
        DataError: if it is not a packed folder.
    """
    from concurrent.futures import ThreadPoolExecutor

    from gan_zoo.core.progress import with_progress

    if not (root / MANIFEST).is_file():
        raise DataError(not_packed(str(root)))
    manifest = read_manifest(root / MANIFEST, str(root))

    # Files are hashed side by side, as hashing releases Python's lock.
    def complaint(shard: Shard) -> str | None:
        return damage(root / shard.file, shard, hashed=True)

    with ThreadPoolExecutor() as pool:
        found = with_progress(
            pool.map(complaint, manifest.shards), len(manifest.shards), "Checking shards"
        )
        complaints = [line for line in found if line is not None]

    # Labels and litdata's index are files of their own.
    labels = root / LABELS
    expected = manifest.labels_sha256
    if expected is not None and (not labels.is_file() or sha256(labels) != expected):
        complaints.append(f"{labels} is missing or damaged")
    index = index_damage(root / INDEX, manifest)
    return complaints if index is None else [*complaints, index]


def damage(path: Path, shard: Shard, hashed: bool) -> str | None:
    """What is wrong with the file of a shard, by its size and, if ``hashed``, its bytes."""
    # The cheap checks first: a hash reads the whole file.
    if not path.is_file():
        return f"{path} is missing"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"{path} is damaged: {size:,} bytes instead of {shard.bytes:,}"
    if hashed and sha256(path) != shard.sha256:
        return f"{path} is damaged: its bytes do not have the hash of {MANIFEST}"
    return None


def index_damage(path: Path, manifest: Manifest) -> str | None:
    """What is wrong with the file of litdata's index: its hash, or its list of shards."""
    if not path.is_file():
        return f"{path} is missing"

    # By its hash, where the manifest has one.
    expected = manifest.index_sha256
    if expected is not None:
        intact = sha256(path) == expected
        return None if intact else f"{path} is damaged: it does not have the hash of {MANIFEST}"

    # Else by what it lists.
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        listed = [(chunk["filename"], chunk["chunk_bytes"]) for chunk in index["chunks"]]
        whole = isinstance(index["config"], dict)
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole or listed != [(shard.file, shard.bytes) for shard in manifest.shards]:
        return f"{path} is damaged: it does not list the shards of {MANIFEST}"
    return None


def not_packed(root: str) -> str:
    """The message for a place without packed images."""
    return (
        f"data.root={root} has no complete packed images (no {MANIFEST}):"
        " gan-zoo pack FOLDER OUT makes them"
    )
