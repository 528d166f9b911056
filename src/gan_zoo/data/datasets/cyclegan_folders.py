"""The folder layouts of the CycleGAN and pix2pix repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

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

DIRECTIONS = ("AtoB", "BtoA")
SPLITS = ("train", "test")


def cyclegan_folder(
    root: str,
    direction: str = "AtoB",
    channels: int = 3,
    image_size: ImageSize = 256,
    condition_channels: int = 3,
    split: str = "train",
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Two unpaired domains in ``trainA`` and ``trainB``, held-out images in ``testA`` and
    ``testB``.

    With ``AtoB`` the samples are B, ``[N, C, S, S]``, and the conditions A, ``[M, C', S, S]``.

    Args:
        root: the folder of these four.
        direction: ``AtoB`` or ``BtoA``.
        channels, condition_channels: 1 or 3, of the samples and of the conditions.
        split: ``train`` or ``test``.
        image_size, on_error, value_range: as in `image_folder`.

    Raises:
        DataError: if a folder of the split is missing or empty, or an image or option is invalid.
    """
    held_out = partial(cyclegan_folder, **{**locals(), "split": "test"})
    _check_options(direction, split, on_error)

    # Conditions come from the first domain, samples from the second.
    first, second = direction.split("to")
    decoding = Decoding(channels, image_size, on_error, value_range)
    conditions_decoding = Decoding(condition_channels, image_size, on_error, value_range)
    samples = _decoded(Path(root).expanduser() / f"{split}{second}", decoding)
    conditions = _decoded(Path(root).expanduser() / f"{split}{first}", conditions_decoding)

    # A test set is complete or not there.
    has_test = all((Path(root).expanduser() / f"test{domain}").is_dir() for domain in "AB")
    return Source(
        Path(root).name,
        split,
        samples.images,
        conditions=conditions.images,
        aligned=False,
        held_out=held_out if split == "train" and has_test else None,
        fingerprint=cache_key(samples.key, conditions.key),
    )


def side_by_side_folder(
    root: str,
    direction: str = "AtoB",
    channels: int = 3,
    image_size: ImageSize = 256,
    condition_channels: int = 3,
    unpaired: bool = False,
    split: str = "train",
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Pairs in one image each, A in its left half and B in its right half, in ``train``; held-out
    pairs in ``test`` or, if there is none, in ``val``.

    With ``AtoB`` the samples are the right halves ``[N, C, S, S]``, the conditions the left ones
    ``[N, C', S, S]``.

    Args:
        root: the folder of these.
        direction: ``AtoB`` or ``BtoA``.
        unpaired: whether training gets the domains in independent orders nevertheless.
        channels, condition_channels, image_size, split, on_error, value_range: as in
            `cyclegan_folder`.

    Raises:
        DataError: as `cyclegan_folder`.
    """
    held_out = partial(side_by_side_folder, **{**locals(), "split": "test"})
    _check_options(direction, split, on_error)

    # The folder of the split.
    place = Path(root).expanduser()
    tests = [name for name in ("test", "val") if (place / name).is_dir()]
    folder = place / ("train" if split == "train" else next(iter(tests), "test"))

    # Both halves of every image.
    halves = {"A": "left", "B": "right"}
    first, second = direction.split("to")
    decoding = Decoding(channels, image_size, on_error, value_range, halves[second])
    other = replace(decoding, channels=condition_channels, half=halves[first])
    samples, conditions = _decoded(folder, decoding), _decoded(folder, other)
    return Source(
        place.name,
        split,
        samples.images,
        conditions=conditions.images,
        unpaired=unpaired,
        held_out=held_out if split == "train" and tests else None,
        fingerprint=cache_key(samples.key, conditions.key),
    )


def _check_options(direction: str, split: str, on_error: str) -> None:
    options: Sequence[tuple[str, str, Sequence[str]]] = (
        ("data.direction", direction, DIRECTIONS),
        ("data.split", split, SPLITS),
    )
    for name, value, allowed in options:
        if value not in allowed:
            raise DataError(f"{name} must be {' or '.join(allowed)}, got {value!r}")
    check_on_error(on_error)


def _decoded(folder: Path, decoding: Decoding) -> DecodedImages:
    check_folder(folder, f"{folder.name} in data.root")
    return decode_files(folder, images_in(folder, "data.root"), decoding)
