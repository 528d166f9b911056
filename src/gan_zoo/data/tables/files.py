"""Tables read from files, with their schemas."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from gan_zoo.core.errors import DataError
from gan_zoo.data.tables.schema import Schema, schema_of

SUFFIXES = (".csv", ".tsv", ".parquet")
BUNDLED = ("breast_cancer", "diabetes", "iris", "wine")
"""Tables that scikit-learn carries."""


def read_table(root: str) -> pd.DataFrame:
    """The table of a CSV, TSV or Parquet file.

    Raises:
        DataError: if it cannot be read, or has fewer than two rows.
    """
    # Other kinds of files, and files that are not there.
    path = Path(root).expanduser()
    if path.suffix not in SUFFIXES or not path.is_file():
        what = "which does not exist" if path.suffix in SUFFIXES else "of another kind"
        raise DataError(f"data.root must be a file {', '.join(SUFFIXES)}, got {root!r}, {what}")

    # pandas has many errors of its own; their text may have several lines.
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    except (OSError, ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"data.root={path} cannot be read as a table: {reason}") from error
    if len(table) < 2:
        raise DataError(f"data.root={path} must have at least 2 rows, it has {len(table)}")

    # Names may be numbers in Parquet, but are text everywhere else.
    table.columns = table.columns.map(str)
    return table


def _read_text(path: Path) -> pd.DataFrame:
    if path.suffix == ".tsv":
        return pd.read_csv(path, sep="\t")

    # A semicolon between columns is found by the first lines.
    with path.open(encoding="utf-8") as file:
        head = file.read(1 << 16)
    try:
        separator = csv.Sniffer().sniff(head, ",;\t|").delimiter
    except csv.Error:
        separator = ","
    return pd.read_csv(path, sep=separator)


def _bundled(name: str) -> pd.DataFrame:
    from sklearn import datasets

    if name not in BUNDLED:
        raise DataError(f"data.bundled must be one of {', '.join(BUNDLED)}, got {name!r}")
    loaded = getattr(datasets, f"load_{name}")(as_frame=True)
    table: pd.DataFrame = loaded.frame

    # Class numbers become names; diabetes has a number to predict.
    if name != "diabetes":
        table["target"] = [str(loaded.target_names[number]) for number in loaded.target]
    return table


def table_of(root: str | None, bundled: str = "") -> pd.DataFrame:
    """The table of a file, or without one of `BUNDLED`; read once for a file of this date, as
    configs ask several times.
    """
    return _table(root, _date(root), bundled)


def schema_of_table(
    root: str | None, bundled: str, discrete: Sequence[str] = (), continuous: Sequence[str] = ()
) -> Schema:
    """The schema of this table, made once for a file of this date."""
    return _schema(root, _date(root), bundled, tuple(discrete), tuple(continuous))


def _date(root: str | None) -> int:
    path = Path(root or "").expanduser()
    return path.stat().st_mtime_ns if path.is_file() else 0


@lru_cache(maxsize=2)
def _table(root: str | None, date: int, bundled: str) -> pd.DataFrame:
    return _bundled(bundled) if root is None else read_table(root)


@lru_cache(maxsize=4)
def _schema(
    root: str | None,
    date: int,
    bundled: str,
    discrete: tuple[str, ...],
    continuous: tuple[str, ...],
) -> Schema:
    return schema_of(_table(root, date, bundled), discrete, continuous)
