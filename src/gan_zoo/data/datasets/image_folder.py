"""A folder of images: nested or not, of any size, gray, RGB or RGBA."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_cache import (
    DecodedImages,
    Decoding,
    check_folder,
    check_on_error,
    decode_files,
)
from gan_zoo.data.files.image_io import LEFT_OUT, SUFFIXES, ValueRange
from gan_zoo.data.files.names import names_below
from gan_zoo.data.sample_kinds.base import SampleKind
from gan_zoo.data.splits import check_split, has_held_out, order_by_split, split_slice


def image_folder(
    root: str,
    channels: int = 3,
    image_size: ImageSize = 64,
    on_error: str = "stop",
    split: str = "train",
    test_share: float = 0.0,
    value_range: ValueRange | None = None,
) -> Source:
    """Every image below ``root``, decoded and resized once into a memory-mapped cache.

    Images in sub-folders are labeled by their first folder; a flat folder has no labels.

    Args:
        root: the folder.
        channels, image_size: 1 or 3, and S; short sides are resized to S, centers cropped.
        on_error: ``stop`` at unreadable files, naming them, or ``skip`` them.
        split: ``train``, ``test`` or ``all``.
        test_share: fraction that is held out by a hash of the names, in [0, 1).
        value_range: black and white of more than 8 bits, where the format does not define them.

    Raises:
        DataError: if there is no folder or no image, one is unreadable, or an option is invalid.
    """
    held_out = partial(image_folder, **{**locals(), "split": "test"})
    check_split(split)
    check_on_error(on_error)

    # Files in the order of the split, training first.
    folder = check_folder(Path(root).expanduser(), "data.root")
    files = images_in(folder, "data.root")
    files = in_split_order(folder, files, test_share)
    decoded = decode_files(folder, files, Decoding(channels, image_size, on_error, value_range))
    return source_of_folder(folder, files, decoded, split, test_share, held_out)


def in_split_order(folder: Path, files: Sequence[Path], test_share: float) -> list[Path]:
    """The files in the order of the split, training first, by their names below ``folder``."""
    names = names_below(folder, files)
    return [files[row] for row in order_by_split(names, test_share)]


def source_of_folder(
    folder: Path,
    files: Sequence[Path],
    decoded: DecodedImages,
    split: str,
    test_share: float,
    held_out: Callable[[], Source],
    what: str = "images",
    kind: SampleKind | None = None,
) -> Source:
    """The split's part of a folder, and a line that says what was found in all of it.

    Args:
        folder: the folder.
        files: in the order of the split.
        decoded: the readable ones.
        split, test_share: as in `image_folder`.
        held_out: makes the source of the held-out part.
        what: the word for samples.
        kind: of samples, see `Source`.
    """
    # Names and labels of the readable ones.
    files = [files[row] for row in decoded.rows]
    names = names_below(folder, files)
    labels, classes = labels_of(folder, files)
    report_found(folder, labels, classes, len(files), what)
    part = split_slice(names, split, test_share)
    return Source(
        folder.name,
        split if test_share else "all",
        decoded.images[part],
        None if labels is None else labels[part],
        classes=classes,
        held_out=held_out if has_held_out(names, split, test_share) else None,
        kind=kind,
        fingerprint=cache_key(decoded.key, split) if test_share else decoded.key,
    )


def images_in(folder: Path, argument: str) -> list[Path]:
    """The files of `find_images`; raises `DataError` naming ``argument`` if there are none."""
    files = find_images(folder)
    if not files:
        raise DataError(f"{argument}={folder} has no images ({', '.join(SUFFIXES)})")
    return files


def find_images(folder: Path) -> list[Path]:
    """All image files below ``folder``, see `find_files`."""
    return find_files(folder, SUFFIXES, LEFT_OUT)


def find_files(folder: Path, suffixes: Sequence[str], left_out: Sequence[str] = ()) -> list[Path]:
    """All files below ``folder`` that end like ``suffixes``, sorted, also behind links to folders.

    Hidden files and folders, and those that operating systems add, are left out. Files that cannot
    be read, such as a pipe or one that ends like ``left_out``, are left out with a message.
    """
    # Readable files, and others that look like them; texts, which are faster than paths.
    known, also = tuple(suffixes), (*suffixes, *left_out)
    found: list[str] = []
    unreadable: list[Path] = []
    for parent, names in _walk(folder):
        for name in names:
            ending = name.lower()
            if name.startswith(".") or not ending.endswith(also):
                continue
            file = os.path.join(parent, name)  # noqa: PTH118 - of undecodable names, too
            if ending.endswith(known) and _may_be_opened(file):
                found.append(file)
            else:
                unreadable.append(Path(file))

    # One line for all that are left out.
    if unreadable and is_first_here():
        kinds = ", ".join(sorted({file.suffix.lower() for file in unreadable}))
        print(
            f"{len(unreadable)} files in {folder} are left out ({kinds}), the first is"
            f" {min(unreadable)}",
            file=sys.stderr,
        )
    # In the order of paths: by their parts.
    found.sort(key=lambda file: file.split(os.sep))  # noqa: PTH206
    return [Path(file) for file in found]


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below ``folder`` once, with the names of its files.

    Circular links are followed once.
    """
    # Folders are known by their real paths, so that circular links end.
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            place = os.path.realpath(os.path.join(parent, name))  # noqa: PTH118 - of undecodable names, too
            if not name.startswith((".", "@")) and name != "__MACOSX" and place not in seen:
                seen.add(place)
                kept.append(name)
        # os.walk goes into the folders that are left in its list.
        folders[:] = kept
        yield parent, names


def _may_be_opened(file: str) -> bool:
    """Whether ``file`` is a regular file, as a pipe would block.

    Broken links fail later with their name.
    """
    try:
        mode = os.stat(file).st_mode  # noqa: PTH116 - see `find_files`
    except OSError:
        return True
    return stat.S_ISREG(mode)


def is_first_here() -> bool:
    """Whether this is the first process of a run on this machine, the one that prints."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def report_found(
    folder: Path,
    labels: Tensor | None,
    classes: list[str] | None,
    count: int,
    what: str = "images",
) -> None:
    """Print how many images, or other samples, of which classes were found."""
    if not is_first_here():
        return
    line = f"{folder}: {count:,} {what}"
    if labels is not None and classes is not None:
        counts = torch.bincount(labels, minlength=len(classes)).tolist()
        listed = [f"{name} {number:,}" for name, number in zip(classes, counts, strict=True)]
        more = f", and {len(listed) - 10} more" if len(listed) > 10 else ""
        line += f" of {len(classes)} classes: {', '.join(listed[:10])}{more}"
    print(line, file=sys.stderr)


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Names in natural order: 2 before 10."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", name)
        return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]

    return sorted(names, key=key)


def labels_of(folder: Path, files: list[Path]) -> tuple[Tensor | None, list[str] | None]:
    """The class number of every file, its first folder below ``folder``, and the classes' names;
    none if a file lies in ``folder`` itself.
    """
    parts = [name.partition("/") for name in names_below(folder, files)]
    if not all(slash for _, slash, _ in parts):
        return None, None
    classes = in_natural_order({first for first, _, _ in parts})
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[first] for first, _, _ in parts]), classes
