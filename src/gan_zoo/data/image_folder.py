"""A folder of pictures: nested or not, of any size, grey, RGB or RGBA."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gan_zoo.data.cache import cache_key
from gan_zoo.data.decoding import check_folder, check_on_error, decode_files
from gan_zoo.data.images import SUFFIXES
from gan_zoo.data.partition import check_split, holds_out, span, train_first
from gan_zoo.data.source import DataError, Source
from gan_zoo.types import Count


def image_folder(
    root: str,
    channels: int = 3,
    image_size: Count = 64,
    on_error: str = "stop",
    split: str = "train",
    test_share: float = 0.0,
) -> Source:
    """Every picture below ``root``, decoded and resized once into a memory-mapped cache.

    Pictures in sub-folders are labelled by their first folder; a flat folder has no labels.

    Args:
        root: the folder.
        channels: 1 or 3.
        image_size: short sides are resized to this, centres cropped.
        on_error: ``stop`` at unreadable files, naming them, or ``skip`` them.
        split: ``train``, ``test`` or ``all``.
        test_share: what part is held out by a hash of the names, in [0, 1).

    Raises:
        DataError: if there is no such folder, no picture in it, one cannot be read, or an option is not allowed.
    """
    check_split(split)
    check_on_error(on_error)
    folder = check_folder(Path(root).expanduser(), "data.root")
    files = pictures_in(folder, "data.root")
    names = [file.relative_to(folder).as_posix() for file in files]
    order = train_first(names, test_share)
    decoded = decode_files(folder, [files[row] for row in order], channels, image_size, on_error)
    kept = [order[row] for row in decoded.rows]
    labels, classes = _labels(folder, [files[row] for row in kept])
    kept_names = [names[row] for row in kept]
    part = span(kept_names, split, test_share)
    again = partial(image_folder, root, channels, image_size, on_error, "test", test_share)
    return Source(
        folder.name,
        split if test_share else "all",
        decoded.images[part],
        None if labels is None else labels[part],
        classes=classes,
        held_out=again if holds_out(kept_names, split, test_share) else None,
        fingerprint=cache_key(decoded.key, split) if test_share else decoded.key,
    )


def pictures_in(folder: Path, argument: str) -> list[Path]:
    """`find_pictures`, or a `DataError` that names the ``argument`` if there are none."""
    files = find_pictures(folder)
    if not files:
        raise DataError(f"{argument}={folder} has no pictures ({', '.join(SUFFIXES)})")
    return files


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below ``folder``, sorted; hidden files and links to folders are left out."""
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    return sorted(found)


def _labels(folder: Path, files: list[Path]) -> tuple[Tensor | None, list[str] | None]:
    parts = [file.relative_to(folder).parts for file in files]
    if any(len(part) == 1 for part in parts):
        return None, None
    classes = sorted({part[0] for part in parts})
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[part[0]] for part in parts]), classes
