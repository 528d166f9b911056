"""Images with captions and classes from a CSV file."""

from __future__ import annotations

import csv as csv_module
import warnings
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.image_cache import (
    DecodedImages,
    Decoding,
    check_folder,
    check_on_error,
    decode_files,
)
from gan_zoo.data.files.image_io import ValueRange
from gan_zoo.data.files.names import in_natural_order
from gan_zoo.data.splits import check_split, has_held_out, order_by_split, split_slice
from gan_zoo.data.text import TextEncoding


def captioned_folder(
    root: str,
    csv: str = "captions.csv",
    folder: str = ".",
    file_column: str = "file",
    caption_column: str | None = "caption",
    class_column: str | None = None,
    channels: int = 3,
    image_size: ImageSize = 64,
    text: str = "words",
    caption_length: Count = 16,
    vocabulary_size: Count = 2000,
    split: str = "train",
    test_share: float = 0.1,
    on_error: str = "stop",
    value_range: ValueRange | None = None,
) -> Source:
    """Images ``[N, C, S, S]`` named by a CSV file, with captions, classes or both.

    Args:
        root: the folder of the table and the images.
        csv: the table, UTF-8, whose first row names its columns.
        folder: the folder of the images below ``root``.
        file_column: the column of file names, relative to ``folder``.
        caption_column: the column of captions, which become conditions; null for none.
        class_column: the column of classes, sorted by name, 2 before 10; null for none.
        text, caption_length, vocabulary_size: see `TextEncoding`.
        channels, image_size, split, test_share, on_error, value_range: as in `image_folder`.

    Raises:
        DataError: for a missing or unreadable table, column or image, or an invalid option.
    """
    held_out = partial(captioned_folder, **{**locals(), "split": "test"})
    check_split(split)
    check_on_error(on_error)
    columns = Columns(file_column, caption_column, class_column)
    decoding = Decoding(channels, image_size, on_error, value_range)
    table = columns.read(Path(root).expanduser(), csv, folder, decoding, test_share)

    # The rows of the split, and the encoding of captions by the words of the training part.
    encoding = TextEncoding(text, caption_length, vocabulary_size)
    part = split_slice(table.names, split, test_share)
    training = part
    if caption_column is not None and split == "test":
        training = split_slice(table.names, "train", test_share)
    key = cache_key(table.images.key, split, table.rows, astuple(encoding))
    source = Source(Path(csv).stem, split, table.images.images[part], fingerprint=key)
    source.held_out = held_out if has_held_out(table.names, split, test_share) else None
    return columns.add_to(source, table.rows, part, training, encoding)


class Table(NamedTuple):
    """The rows of a table, the names of their images without suffix, and the images."""

    rows: list[dict[str, str]]
    names: list[str]
    images: DecodedImages


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns of a table; None for those that are not used."""

    file: str
    caption: str | None
    label: str | None

    def read(
        self, root: Path, csv: str, folder: str, decoding: Decoding, test_share: float
    ) -> Table:
        """The rows of the table with readable images, those for training first.

        Raises:
            DataError: if the table, a column or an image is missing or cannot be read.
        """
        images = check_folder(root / folder, "data.folder")
        used = [name for name in (self.file, self.caption, self.label) if name is not None]
        rows = _present(read_table(root / csv, used), self.file, images, decoding.on_error)

        # In the order of the split, training first.
        names = [Path(row[self.file]).stem for row in rows]
        rows = [rows[index] for index in order_by_split(names, test_share)]
        decoded = decode_files(images, [images / row[self.file] for row in rows], decoding)
        rows = [rows[index] for index in decoded.rows]
        return Table(rows, [Path(row[self.file]).stem for row in rows], decoded)

    def add_to(
        self,
        source: Source,
        table: list[dict[str, str]],
        part: slice,
        training: slice,
        encoding: TextEncoding,
    ) -> Source:
        """``source`` with labels and captions of the rows ``part`` of the table.

        Classes are those of the complete table; the vocabulary is that of the rows ``training``.
        """
        if self.label is not None:
            source.classes = in_natural_order({row[self.label] for row in table})
            values = [row[self.label] for row in table[part]]
            source.labels = class_numbers(values, source.classes)
        if self.caption is not None:
            source.captions = [row[self.caption] for row in table[part]]
            seen = [row[self.caption] for row in table[training]]
            source.conditions, source.vocabulary = encoding.conditions(source.captions, seen)
        return source


def class_numbers(values: Sequence[str], classes: Sequence[str]) -> torch.Tensor:
    """The indices ``[N]`` (int64) of ``values`` among ``classes``."""
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[value] for value in values], dtype=torch.int64)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file that has ``columns``.

    Raises:
        DataError: if there is no such file or column, or no row.
    """
    # Read all rows.
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv_module.DictReader(file)
            rows = [_filled(row) for row in reader]
            found = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv_module.Error) as error:
        raise DataError(
            f"data.csv must be a CSV file in UTF-8, got {str(path)!r}, which cannot be read"
        ) from error

    # Check the columns.
    for column in columns:
        if column not in found:
            raise DataError(
                f"data.csv={path.name} has no column {column!r}: its columns are {', '.join(found)}"
            )
    if not rows:
        raise DataError(f"data.csv={path.name} has no rows")
    return rows


def _filled(row: dict[str, str]) -> dict[str, str]:
    """A row without surplus cells, and with empty strings for missing ones."""
    return {key: value or "" for key, value in row.items() if key is not None}


def _present(
    table: list[dict[str, str]], column: str, folder: Path, on_error: str
) -> list[dict[str, str]]:
    """The rows whose image exists.

    Raises:
        DataError: naming a file that is missing, or outside the folder.
    """
    # No file may be outside of the folder.
    for row in table:
        if (
            Path(row[column]).is_absolute()
            or ".." in Path(row[column]).parts
            or "\0" in row[column]
        ):
            raise DataError(f"data.csv names the file {row[column]!r}, which is not below {folder}")

    # Missing files are an error or a warning.
    present = [row for row in table if (folder / row[column]).is_file()]
    if len(present) == len(table):
        return table
    missing = [row[column] for row in table if not (folder / row[column]).is_file()]
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    line = (
        f"{len(missing)} of {len(table)} files in the table are not in {folder}:"
        f" {', '.join(missing[:3])}{more}"
    )
    if on_error == "stop":
        raise DataError(f"{line}; remove their rows or set data.on_error=skip")
    if not present:
        raise DataError(f"{line}; data.folder must be their folder below data.root")
    warnings.warn(line, stacklevel=3)
    return present
