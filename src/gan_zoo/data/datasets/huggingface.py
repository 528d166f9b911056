"""Datasets of the Hugging Face Hub, or of a folder that the package `datasets` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.captioned_folder import class_numbers
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_cache import (
    DecodedImages,
    Decoding,
    check_on_error,
    decode_cached,
)
from gan_zoo.data.files.image_io import decode
from gan_zoo.data.splits import check_split
from gan_zoo.data.text import TextEncoding

HELD_OUT = ("test", "validation", "valid")


def huggingface(
    path: str,
    subset: str | None = None,
    split: str = "train",
    image_column: str = "image",
    label_column: str | None = None,
    caption_column: str | None = None,
    channels: int = 3,
    image_size: ImageSize = 64,
    text: str = "words",
    caption_length: Count = 16,
    vocabulary_size: Count = 2000,
    on_error: str = "stop",
) -> Source:
    """Images ``[N, C, S, S]`` with labels, captions, both or neither, decoded once into a cache.

    Args:
        path: a name on the Hub, a folder for ``load_dataset``, or one written by ``save_to_disk``.
        subset: one of several configurations of the dataset; null for the only one.
        split: one of those of the dataset; ``train`` holds out ``test`` or ``validation``.
        image_column: the column of images.
        label_column: the column of classes, numbers or names; null for none.
        caption_column: the column of captions, which become conditions; null for none.
        channels, image_size: as in `image_folder`.
        text, caption_length, vocabulary_size: see `TextEncoding`.
        on_error: ``stop`` at unreadable images or ``skip`` them.

    Raises:
        DataError: if `datasets` is not installed, the dataset is missing, or an option is invalid.
    """
    held_out = partial(huggingface, **locals())
    check_on_error(on_error)
    splits = _load(path, subset)
    check_split(split, tuple(splits))
    _check_columns(splits[split], image_column, label_column, caption_column)

    # Images, and the labels and captions of the readable ones.
    images = _images(splits[split], image_column, Decoding(channels, image_size, on_error))
    encoding = TextEncoding(text, caption_length, vocabulary_size)
    columns = (image_column, label_column, caption_column)
    key = cache_key(images.key, columns, astuple(encoding))
    source = Source(Path(path).name, split, images.images, fingerprint=key)
    test = next((name for name in HELD_OUT if split == "train" and name in splits), None)
    if test is not None:
        source.held_out = partial(held_out, split=test)
    if label_column is not None:
        source.labels, source.classes = _labels(splits, split, label_column, images.rows)
    if caption_column is not None:
        _add_captions(source, splits, caption_column, images.rows, encoding)
    return source


def _add_captions(
    source: Source,
    splits: dict[str, Any],
    column: str,
    rows: Sequence[int],
    encoding: TextEncoding,
) -> None:
    """Add the captions of ``rows``; the vocabulary is that of the training split."""
    captions = [str(caption) for caption in splits[source.split][column]]
    source.captions = [captions[row] for row in rows]
    training = captions
    if "train" in splits:
        training = [str(caption) for caption in splits["train"][column]]
    source.conditions, source.vocabulary = encoding.conditions(source.captions, training)


def _load(path: str, subset: str | None) -> dict[str, Any]:
    """All splits of the dataset."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data=huggingface needs the package datasets, which is not installed: pip install"
            " 'gan-zoo[hub]'"
        ) from error

    # A folder of save_to_disk, or anything that load_dataset reads.
    folder = Path(path).expanduser()
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        found = (
            datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(path, subset)
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"data.path must be a dataset on the Hub or a folder of one, got {path!r}: {cause}"
        ) from error
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


def _check_columns(
    data: Any, image_column: str, label_column: str | None, caption_column: str | None
) -> None:
    columns = {
        "image_column": image_column,
        "label_column": label_column,
        "caption_column": caption_column,
    }
    for argument, column in columns.items():
        if column is not None and column not in data.column_names:
            raise DataError(
                f"data.{argument} must be one of {', '.join(data.column_names)}, got {column!r}"
            )


def _images(data: Any, column: str, decoding: Decoding) -> DecodedImages:
    from datasets import Image

    if not isinstance(data.features[column], Image):
        raise DataError(
            f"data.image_column must be a column of images, {column!r} holds"
            f" {data.features[column]}"
        )
    # Files as they are stored, decoded as those of folders.
    encoded = data.select_columns([column]).cast_column(column, Image(decode=False))

    def make(row: int) -> np.ndarray[Any, Any]:
        item = encoded[row][column]
        if item is None:
            raise ValueError("no image")
        file = item["bytes"] if item["bytes"] is not None else Path(item["path"])
        return decode(file, decoding.channels, decoding.image_size)

    # Unreadable images are named by their rows.
    key = cache_key(
        "huggingface", data._fingerprint, column, decoding.channels, decoding.image_size
    )
    names = [f"row {row}" for row in range(len(data))]
    return decode_cached("hub", key, names, decoding, make)


def _labels(
    splits: dict[str, Any], split: str, column: str, rows: Sequence[int]
) -> tuple[Tensor, list[str]]:
    """Class numbers of ``rows`` and the names of all classes of the dataset."""
    feature = splits[split].features[column]
    values = splits[split][column]
    names = getattr(feature, "names", None)
    if names is not None:
        numbers = torch.tensor([values[row] for row in rows], dtype=torch.int64)
        # Negative numbers stand for missing labels.
        if numbers.numel() and numbers.min() < 0:
            raise DataError(
                f"data.label_column={column} has samples without a class in data.split={split}"
            )
        return numbers, list(names)

    # Without names, the classes are the values of all splits.
    found: set[Any] = set()
    for data in splits.values():
        if column in data.column_names:
            found.update(data[column])
    classes = sorted(found)
    return class_numbers([values[row] for row in rows], classes), [str(name) for name in classes]
