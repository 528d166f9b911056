"""Data sets of the Hugging Face Hub, or of a folder that the package `datasets` reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.captioned_folder import class_numbers
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_cache import Decoded, check_on_error, decode_once
from gan_zoo.data.files.image_io import decode
from gan_zoo.data.splits import check_split
from gan_zoo.data.text import TextOptions

HELD_OUT = ("test", "validation", "valid")


def huggingface(
    path: str,
    subset: str | None = None,
    split: str = "train",
    image_column: str = "image",
    label_column: str | None = None,
    caption_column: str | None = None,
    channels: int = 3,
    image_size: Count = 64,
    text: str = "words",
    caption_length: Count = 16,
    vocabulary_size: Count = 2000,
    on_error: str = "stop",
) -> Source:
    """Images ``[N, C, S, S]`` with labels, captions, both or neither, decoded once into a memory-mapped cache.

    Args:
        path: a name on the Hub, a folder that ``load_dataset`` reads, or one that ``save_to_disk`` wrote.
        subset: which of several configurations of the set; null for the only one.
        split: one of those the set has; ``train`` holds out ``test`` or ``validation``.
        image_column: the column of images.
        label_column: the column of classes, numbers or names; null for none.
        caption_column: the column of captions, which become conditions; null for none.
        channels: 1 or 3.
        image_size: S; short sides are resized to this, centers cropped.
        text, caption_length, vocabulary_size: see `TextOptions`.
        on_error: ``stop`` at unreadable images or ``skip`` them.

    Raises:
        DataError: if `datasets` is not installed, the set cannot be had, or an argument does not fit it.
    """
    check_on_error(on_error)
    splits = _load(path, subset)
    check_split(split, tuple(splits))
    data = splits[split]
    _check_columns(data, image_column, label_column, caption_column)
    decoded = _images(data, image_column, channels, image_size, on_error)
    columns, texts = (image_column, label_column, caption_column), (text, caption_length, vocabulary_size)
    other = next((name for name in HELD_OUT if split == "train" and name in splits), None)
    again = partial(huggingface, path, subset, other or "", *columns, channels, image_size, *texts, on_error)
    source = Source(
        Path(path).name,
        split,
        decoded.images,
        held_out=again if other else None,
        fingerprint=cache_key(decoded.key, columns, texts),
    )
    if label_column is not None:
        source.labels, source.classes = _labels(splits, split, label_column, decoded.rows)
    if caption_column is not None:
        every = [str(caption) for caption in data[caption_column]]
        source.captions = [every[row] for row in decoded.rows]
        training = [str(caption) for caption in splits["train"][caption_column]] if "train" in splits else every
        source.conditions, source.vocabulary = TextOptions(*texts).conditions(source.captions, training)
    return source


def _load(path: str, subset: str | None) -> dict[str, Any]:
    """All splits of the set."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data=huggingface needs the package datasets, which is not installed: pip install 'gan-zoo[hub]'"
        ) from error
    folder = Path(path).expanduser()
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        found = datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(path, subset)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"data.path must be a data set on the Hub or a folder of one, got {path!r}: {cause}") from error
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


def _check_columns(data: Any, image_column: str, label_column: str | None, caption_column: str | None) -> None:
    columns = {"image_column": image_column, "label_column": label_column, "caption_column": caption_column}
    for argument, column in columns.items():
        if column is not None and column not in data.column_names:
            raise DataError(f"data.{argument} must be one of {', '.join(data.column_names)}, got {column!r}")


def _images(data: Any, column: str, channels: int, image_size: int, on_error: str) -> Decoded:
    from datasets import Image

    if not isinstance(data.features[column], Image):
        raise DataError(f"data.image_column must be a column of images, {column!r} holds {data.features[column]}")
    encoded = data.select_columns([column]).cast_column(column, Image(decode=False))

    def make(row: int) -> np.ndarray[Any, Any]:
        item = encoded[row][column]
        if item is None:
            raise ValueError("no image")
        return decode(item["bytes"] if item["bytes"] is not None else Path(item["path"]), channels, image_size)

    key = cache_key("huggingface", data._fingerprint, column, channels, image_size)
    names = [f"row {row}" for row in range(len(data))]
    return decode_once("hub", key, names, (channels, image_size), make, on_error)


def _labels(splits: dict[str, Any], split: str, column: str, rows: Sequence[int]) -> tuple[Tensor, list[str]]:
    """Class numbers of ``rows`` and the names of all classes of the set."""
    feature = splits[split].features[column]
    values = splits[split][column]
    names = getattr(feature, "names", None)
    if names is not None:
        numbers = torch.tensor([values[row] for row in rows], dtype=torch.int64)
        if numbers.numel() and numbers.min() < 0:
            raise DataError(f"data.label_column={column} has samples without a class in data.split={split}")
        return numbers, list(names)
    classes = sorted({value for data in splits.values() if column in data.column_names for value in data[column]})
    return class_numbers([values[row] for row in rows], classes), [str(name) for name in classes]
