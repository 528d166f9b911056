"""Two folders of images as two domains, with partners or without."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.image_folder import images_in
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_cache import check_folder, check_on_error, decode_files
from gan_zoo.data.files.image_io import ValueRange
from gan_zoo.data.splits import check_split, holds_out, span, train_first


def paired_folder(
    root: str,
    source_folder: str = "source",
    target_folder: str = "target",
    channels: int = 3,
    image_size: Count = 64,
    condition_channels: int = 3,
    unpaired: bool = False,
    split: str = "train",
    test_share: float = 0.1,
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Images to translate and what they become, partners by name: ``source/a/1.png`` and ``target/a/1.jpg``.

    The samples are the targets ``[N, C, S, S]``, the conditions the sources ``[N, C', S, S]``. Held out is a fixed
    share by a hash of the name, variants of one emoji together (`gan_zoo.data.splits.variant_group`).

    Args:
        root: the folder that has both.
        source_folder, target_folder: their names below ``root``.
        channels, condition_channels: 1 or 3, of the samples and of the conditions.
        image_size: S; short sides are resized to this, centers cropped.
        unpaired: whether training sees the domains in independent orders all the same.
        split: ``train``, ``test`` or ``all``.
        test_share: what part is held out, in [0, 1).
        on_error: ``stop`` at unreadable files, naming them, or ``skip`` them and their partners.
        value_range: the values that mean black and white in images of more than 8 bits, where the format does not say.

    Raises:
        DataError: if a folder is missing or empty, no image has a partner, one cannot be read, or an option is not
            allowed.
    """
    check_split(split)
    check_on_error(on_error)
    sources, targets = _domain(root, source_folder, "source_folder"), _domain(root, target_folder, "target_folder")
    names = _partners(sources, targets)
    names = [names[row] for row in train_first(names, test_share)]
    how = (image_size, on_error, value_range)
    conditions = decode_files(sources.folder, [sources.files[name] for name in names], condition_channels, *how)
    samples = decode_files(targets.folder, [targets.files[name] for name in names], channels, *how)
    rows = sorted({*conditions.rows} & {*samples.rows})
    kept = [names[row] for row in rows]
    part = span(kept, split, test_share)
    options = (root, source_folder, target_folder, channels, image_size, condition_channels, unpaired)
    later = {"split": "test", "test_share": test_share, "on_error": on_error, "value_range": value_range}
    again = partial(paired_folder, *options, **later)  # type: ignore[arg-type]
    return Source(
        f"{source_folder}-{target_folder}",
        split,
        samples.take(rows)[part],
        conditions=conditions.take(rows)[part],
        unpaired=unpaired,
        held_out=again if holds_out(kept, split, test_share) else None,
        fingerprint=cache_key(samples.key, conditions.key, split),
    )


def unpaired_folder(
    root: str,
    source_folder: str = "source",
    target_folder: str = "target",
    channels: int = 3,
    image_size: Count = 64,
    condition_channels: int = 3,
    split: str = "train",
    test_share: float = 0.1,
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Two domains whose images have no partners; there may be more of one than of the other.

    The samples are the target domain ``[N, C, S, S]``, the conditions the source domain ``[M, C', S, S]``. Of each a
    fixed share is held out, as in `paired_folder`, whose arguments and errors these are.
    """
    check_split(split)
    check_on_error(on_error)
    form = image_size, split, test_share, on_error, value_range
    samples, sample_key, left = _part(_domain(root, target_folder, "target_folder"), channels, *form)
    conditions, key, condition_left = _part(_domain(root, source_folder, "source_folder"), condition_channels, *form)
    options = (root, source_folder, target_folder, channels, image_size, condition_channels)
    later = {"split": "test", "test_share": test_share, "on_error": on_error, "value_range": value_range}
    again = partial(unpaired_folder, *options, **later)  # type: ignore[arg-type]
    return Source(
        f"{source_folder}-{target_folder}",
        split,
        samples,
        conditions=conditions,
        aligned=False,
        held_out=again if left and condition_left else None,
        fingerprint=cache_key(sample_key, key, split),
    )


class Domain(NamedTuple):
    """Images by their names: paths relative to the folder, without suffix."""

    folder: Path
    files: dict[str, Path]


def _domain(root: str, name: str, argument: str) -> Domain:
    folder = check_folder(Path(root).expanduser() / name, f"data.{argument}")
    files: dict[str, Path] = {}
    for file in images_in(folder, f"data.{argument}"):
        key = file.relative_to(folder).with_suffix("").as_posix()
        if key in files:
            raise DataError(f"data.{argument} has two images of one name: {files[key]} and {file}; remove one")
        files[key] = file
    return Domain(folder, files)


def _partners(sources: Domain, targets: Domain) -> list[str]:
    names = sorted(sources.files.keys() & targets.files.keys())
    if not names:
        raise DataError(
            f"no image in {sources.folder} has a partner of the same name in {targets.folder} "
            f"({min(sources.files)} and {min(targets.files)} come first): use data=unpaired_folder if there are none"
        )
    alone = len(sources.files) + len(targets.files) - 2 * len(names)
    if alone:
        first = min(sources.files.keys() ^ targets.files.keys())
        warnings.warn(
            f"{alone} images without a partner of the same name are left out, {first} among them", stacklevel=3
        )
    return names


def _part(
    domain: Domain,
    channels: int,
    image_size: int,
    split: str,
    test_share: float,
    on_error: str,
    value_range: ValueRange | None,
) -> tuple[Tensor, str, bool]:
    """The images of ``split``, their key, and whether they leave others for a test."""
    names = list(domain.files)
    names = [names[row] for row in train_first(names, test_share)]
    files = [domain.files[name] for name in names]
    decoded = decode_files(domain.folder, files, channels, image_size, on_error, value_range)
    kept = [names[row] for row in decoded.rows]
    return decoded.images[span(kept, split, test_share)], decoded.key, holds_out(kept, split, test_share)
