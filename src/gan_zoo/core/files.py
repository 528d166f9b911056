"""Files that are whole or not there."""

from __future__ import annotations

import csv
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes ``path`` if the block succeeds, and vanishes
    if not.

    The file is on the disk before it takes the name, and the name is on the disk at the end.
    """
    # In the same folder, as a rename does not cross file systems.
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def complete_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The header and the rows of a CSV file that is being written, or was when its writer died:
    without half a row.
    """
    # A line without its end is still being written.
    reader = csv.DictReader(
        line
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("\n")
    )

    # Rows with too many or too few cells are left out.
    rows = [row for row in reader if None not in row and None not in row.values()]
    return list(reader.fieldnames or []), rows


def numeric_rows(path: Path) -> list[dict[str, float]]:
    """The cells of a CSV file that hold numbers, for each whole row by column; nothing where there
    is no file.
    """

    def numbers(row: dict[str, str]) -> Iterator[tuple[str, float]]:
        for name, cell in row.items():
            with suppress(ValueError):  # empty, or damaged by hand
                yield name, float(cell)

    return [dict(numbers(row)) for row in complete_rows(path)[1]] if path.is_file() else []


def sha256(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
