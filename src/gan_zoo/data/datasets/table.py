"""Tables: rows of numbers, categories and dates."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.data.sample_kinds.table import Table
from gan_zoo.data.splits import check_split, has_held_out, order_by_split, split_slice
from gan_zoo.data.tables.files import schema_of_table, table_of
from gan_zoo.data.tables.row_draws import RowDraws
from gan_zoo.data.tables.schema import Schema

log = logging.getLogger(__name__)


def table(
    root: str | None = None,
    bundled: str = "wine",
    discrete: Sequence[str] = (),
    continuous: Sequence[str] = (),
    target: str | None = None,
    split: str = "train",
    test_share: float = 0.2,
) -> Source:
    """The rows of a table, encoded as vectors ``[N, D]``.

    Columns are typed by `gan_zoo.data.tables.schema.schema_of`, from all rows.

    Args:
        root: a file ``.csv``, ``.tsv`` or ``.parquet``; None for a table of scikit-learn.
        bundled: its name, see `gan_zoo.data.tables.files.BUNDLED`.
        discrete, continuous: names of columns that are to be of this kind.
        target: the column that metrics predict from the others; None for the last one.
        split: ``train``, ``test`` or ``all``.
        test_share: fraction that is held out by a hash of the row's number, in [0, 1).

    Raises:
        DataError: if the file cannot be read, or has no columns to model.
    """
    held_out = partial(table, **{**locals(), "split": "test"})
    check_split(split)
    frame = table_of(root, bundled)
    schema = schema_of_table(root, bundled, discrete, continuous)
    if target is not None and target not in schema.names:
        raise DataError(f"data.target must be one of {', '.join(schema.names)}, got {target!r}")
    if schema.left_out and split == "train":
        _warn_of_left_out(schema)

    # The rows of the split.
    names = [str(row) for row in range(len(frame))]
    order = order_by_split(names, test_share)
    ordered = [names[row] for row in order]
    rows = torch.tensor(order)[split_slice(ordered, split, test_share)]
    samples = torch.from_numpy(schema.encode(frame)).float()[rows]
    # Conditional models draw rows by category, see `RowDraws`.
    has_categories = any(span.kind == "category" for span in schema.spans)
    return Source(
        bundled if root is None else Path(root).stem,
        split if test_share else "all",
        samples,
        held_out=held_out if has_held_out(ordered, split, test_share) else None,
        kind=Table(schema.to_json(), target),
        row_draws=RowDraws(samples, schema.spans) if has_categories else None,
    )


def _warn_of_left_out(schema: Schema) -> None:
    """Name the columns that cannot be modeled."""
    log.warning(
        "columns without values, or of text with too many (names, ids), are left out: %s",
        ", ".join(schema.left_out),
    )
