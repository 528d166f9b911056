"""Paired and unpaired image folders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from gan_zoo.core.errors import DataError
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
from gan_zoo.data.splits import check_split, has_held_out, order_by_split, split_slice


def paired_folder(
    root: str,
    source_folder: str = "source",
    target_folder: str = "target",
    channels: int = 3,
    image_size: ImageSize = 64,
    condition_channels: int = 3,
    unpaired: bool = False,
    split: str = "train",
    test_share: float = 0.1,
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Images to translate and their targets by name: ``source/a/1.png`` and ``target/a/1.jpg``.

    Samples are the targets ``[N, C, S, S]``, conditions the sources ``[N, C', S, S]``.

    Args:
        root: the folder of both domains.
        source_folder, target_folder: their names below ``root``.
        channels, condition_channels: 1 or 3, of the samples and of the conditions.
        unpaired: whether training gets the domains in independent orders nevertheless.
        image_size, split, test_share, on_error, value_range: as in `image_folder`.

    Raises:
        DataError: if a folder is empty, no names match, or an image or option is invalid.
    """
    held_out = partial(paired_folder, **{**locals(), "split": "test"})
    check_split(split)
    check_on_error(on_error)
    sources = _domain(root, source_folder, "source_folder")
    targets = _domain(root, target_folder, "target_folder")

    # Pairs of which both images are readable, those for training first.
    names = _partners(sources, targets, test_share)
    decoding = Decoding(channels, image_size, on_error, value_range)
    conditions = sources.decode(names, replace(decoding, channels=condition_channels))
    samples = targets.decode(names, decoding)
    rows = sorted({*conditions.rows} & {*samples.rows})
    names = [names[row] for row in rows]
    part = split_slice(names, split, test_share)
    return Source(
        f"{source_folder}-{target_folder}",
        split,
        samples.take(rows)[part],
        conditions=conditions.take(rows)[part],
        unpaired=unpaired,
        held_out=held_out if has_held_out(names, split, test_share) else None,
        fingerprint=cache_key(samples.key, conditions.key, split),
    )


def unpaired_folder(
    root: str,
    source_folder: str = "source",
    target_folder: str = "target",
    channels: int = 3,
    image_size: ImageSize = 64,
    condition_channels: int = 3,
    split: str = "train",
    test_share: float = 0.1,
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Two domains without pairs, which may have different numbers of images.

    The samples are the target domain ``[N, C, S, S]``, the conditions the source domain
    ``[M, C', S, S]``. A fixed fraction of each is held out, as in `paired_folder`, whose arguments
    and errors these are.
    """
    held_out = partial(unpaired_folder, **{**locals(), "split": "test"})
    check_split(split)
    check_on_error(on_error)

    # The split of each domain.
    decoding = Decoding(channels, image_size, on_error, value_range)
    targets = _domain(root, target_folder, "target_folder")
    samples = _part(targets, decoding, split, test_share)
    sources = _domain(root, source_folder, "source_folder")
    conditions = _part(sources, replace(decoding, channels=condition_channels), split, test_share)
    return Source(
        f"{source_folder}-{target_folder}",
        split,
        samples.images,
        conditions=conditions.images,
        aligned=False,
        held_out=held_out if samples.has_held_out and conditions.has_held_out else None,
        fingerprint=cache_key(samples.key, conditions.key, split),
    )


class Part(NamedTuple):
    """The images of a split, their key, and whether others are held out."""

    images: Tensor
    key: str
    has_held_out: bool


class Domain(NamedTuple):
    """Images by their names: paths relative to the folder, without suffix."""

    folder: Path
    files: dict[str, Path]

    def decode(self, names: Sequence[str], decoding: Decoding) -> DecodedImages:
        """The images of ``names``."""
        return decode_files(self.folder, [self.files[name] for name in names], decoding)


def _domain(root: str, name: str, argument: str) -> Domain:
    folder = check_folder(Path(root).expanduser() / name, f"data.{argument}")
    files: dict[str, Path] = {}
    for file in images_in(folder, f"data.{argument}"):
        # Partners may have different suffixes.
        key = file.relative_to(folder).with_suffix("").as_posix()
        if key in files:
            raise DataError(
                f"data.{argument} has two images of one name: {files[key]} and {file}; remove one"
            )
        files[key] = file
    return Domain(folder, files)


def _partners(sources: Domain, targets: Domain, test_share: float) -> list[str]:
    """The names that both folders have, those for training first."""
    # Names that both folders have.
    names = sorted(sources.files.keys() & targets.files.keys())
    if not names:
        raise DataError(
            f"no image in {sources.folder} has a partner of the same name in {targets.folder}"
            f" ({min(sources.files)} and {min(targets.files)} come first): use data=unpaired_folder"
            " if there are none"
        )

    # Files without a match are an error of naming, perhaps.
    unmatched = len(sources.files) + len(targets.files) - 2 * len(names)
    if unmatched:
        first = min(sources.files.keys() ^ targets.files.keys())
        warnings.warn(
            f"{unmatched} images without a partner of the same name are left out, {first} among"
            " them",
            stacklevel=3,
        )
    return [names[row] for row in order_by_split(names, test_share)]


def _part(domain: Domain, decoding: Decoding, split: str, test_share: float) -> Part:
    """The images of ``split`` of one domain."""
    names = list(domain.files)
    names = [names[row] for row in order_by_split(names, test_share)]
    decoded = domain.decode(names, decoding)
    names = [names[row] for row in decoded.rows]
    images = decoded.images[split_slice(names, split, test_share)]
    return Part(images, decoded.key, has_held_out(names, split, test_share))
