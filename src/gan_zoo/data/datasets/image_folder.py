"""A folder of images: nested or not, of any size, gray, RGB or RGBA."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gan_zoo.core.distributed import is_first_here
from gan_zoo.core.types import ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.find import images_in
from gan_zoo.data.files.image_cache import (
    DecodedImages,
    Decoding,
    check_folder,
    check_on_error,
    decode_files,
)
from gan_zoo.data.files.image_io import ValueRange
from gan_zoo.data.files.names import labels_of, names_below
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
