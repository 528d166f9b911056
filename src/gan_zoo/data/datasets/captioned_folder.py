"""Images whose captions and classes stand in a table."""

from __future__ import annotations

import csv as csv_module
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.image_folder import in_natural_order
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_cache import check_folder, check_on_error, decode_files
from gan_zoo.data.files.image_io import ValueRange
from gan_zoo.data.splits import check_split, holds_out, span, train_first
from gan_zoo.data.text import TextOptions


def captioned_folder(
    root: str,
    csv: str = "captions.csv",
    folder: str = ".",
    file_column: str = "file",
    caption_column: str | None = "caption",
    class_column: str | None = None,
    channels: int = 3,
    image_size: Count = 64,
    text: str = "words",
    caption_length: Count = 16,
    vocabulary_size: Count = 2000,
    split: str = "train",
    test_share: float = 0.1,
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Images ``[N, C, S, S]`` named by a CSV file, with captions, classes or both.

    Held out is a fixed share by a hash of the file's name, variants of one emoji together
    (`gan_zoo.data.splits.variant_group`).

    Args:
        root: the folder that has the table and the images.
        csv: the table, UTF-8, with a first row that names its columns.
        folder: where below ``root`` the images are.
        file_column: the column of file names, relative to ``folder``.
        caption_column: the column of captions, which become conditions; null for none.
        class_column: the column of classes, numbered by the alphabet, 2 before 10; null for none.
        channels: 1 or 3.
        image_size: S; short sides are resized to this, centers cropped.
        text, caption_length, vocabulary_size: see `TextOptions`.
        split: ``train``, ``test`` or ``all``.
        test_share: what part is held out, in [0, 1).
        on_error: ``stop`` at missing or unreadable files, naming them, or ``skip`` them.
        value_range: the values that mean black and white in images of more than 8 bits, where the format does not say.

    Raises:
        DataError: if the table, a column or an image is missing or cannot be read, or an option is not allowed.
    """
    check_split(split)
    check_on_error(on_error)
    images = check_folder(Path(root).expanduser() / folder, "data.folder")
    columns = [column for column in (file_column, caption_column, class_column) if column is not None]
    table = _present(read_table(Path(root).expanduser() / csv, columns), file_column, images, on_error)
    table = [table[row] for row in train_first([Path(row[file_column]).stem for row in table], test_share)]
    files = [images / row[file_column] for row in table]
    decoded = decode_files(images, files, channels, image_size, on_error, value_range)
    table = [table[row] for row in decoded.rows]
    names = [Path(row[file_column]).stem for row in table]
    part = span(names, split, test_share)
    options = (root, csv, folder, file_column, caption_column, class_column, channels, image_size)
    texts = (text, caption_length, vocabulary_size)
    later = {"split": "test", "test_share": test_share, "on_error": on_error, "value_range": value_range}
    again = partial(captioned_folder, *options, *texts, **later)  # type: ignore[arg-type]
    source = Source(
        Path(csv).stem,
        split,
        decoded.images[part],
        held_out=again if holds_out(names, split, test_share) else None,
        fingerprint=cache_key(decoded.key, split, table, texts),
    )
    if class_column is not None:
        source.classes = in_natural_order({row[class_column] for row in table})
        source.labels = class_numbers([row[class_column] for row in table[part]], source.classes)
    if caption_column is not None:
        source.captions = [row[caption_column] for row in table[part]]
        training = table if split == "all" else table[span(names, "train", test_share)]
        seen = [row[caption_column] for row in training]
        source.conditions, source.vocabulary = TextOptions(*texts).conditions(source.captions, seen)
    return source


def class_numbers(values: Sequence[str], classes: Sequence[str]) -> torch.Tensor:
    """The places ``[N]`` (int64) of ``values`` among ``classes``."""
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[value] for value in values], dtype=torch.int64)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file that has ``columns``.

    Raises:
        DataError: if there is no such file or column, or no row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv_module.DictReader(file)
            rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
            there = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv_module.Error) as error:
        raise DataError(f"data.csv must be a CSV file in UTF-8, got {str(path)!r}, which cannot be read") from error
    for column in columns:
        if column not in there:
            raise DataError(f"data.csv={path.name} has no column {column!r}: its columns are {', '.join(there)}")
    if not rows:
        raise DataError(f"data.csv={path.name} has no rows")
    return rows


def _present(table: list[dict[str, str]], column: str, folder: Path, on_error: str) -> list[dict[str, str]]:
    """The rows whose image exists.

    Raises:
        DataError: naming a file that is missing, or outside the folder.
    """
    for row in table:
        if Path(row[column]).is_absolute() or ".." in Path(row[column]).parts or "\0" in row[column]:
            raise DataError(f"data.csv names the file {row[column]!r}, which is not below {folder}")
    there = [row for row in table if (folder / row[column]).is_file()]
    if len(there) == len(table):
        return table
    missing = [row[column] for row in table if not (folder / row[column]).is_file()]
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    line = f"{len(missing)} of {len(table)} files in the table are not in {folder}: {', '.join(missing[:3])}{more}"
    if on_error == "stop":
        raise DataError(f"{line}; remove their rows or set data.on_error=skip")
    if not there:
        raise DataError(f"{line}; data.folder says where they are below data.root")
    warnings.warn(line, stacklevel=3)
    return there
