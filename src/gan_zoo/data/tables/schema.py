"""The columns of a table, typed by their values."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import stable_seed
from gan_zoo.core.row_layout import Span
from gan_zoo.data.tables.columns import (
    Category,
    Column,
    Continuous,
    Numbers,
    column_of,
    fields_of,
    plain,
    to_numbers,
    to_seconds,
)

FEW_VALUES = 10
"""Columns of integers with at most so many values are categories."""

MANY_VALUES = 200
"""Columns of text with more values, or a value in every other row, are names, and left out."""

MAX_COLUMNS = 1000
MODES = 10
SMALLEST_WEIGHT = 0.005
FITTED_ROWS = 10_000
"""Rows that mixtures are fitted to."""


@dataclass(frozen=True)
class Schema:
    """The columns of a table.

    Attributes:
        columns: in the order of the table.
        left_out: names of columns that are not modeled.
    """

    columns: tuple[Column, ...]
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def categories(self) -> list[str]:
        """The names of the columns of categories."""
        return [column.name for column in self.columns if isinstance(column, Category)]

    @cached_property
    def spans(self) -> list[Span]:
        """The layout of encoded rows."""
        return [span for column in self.columns for span in column.spans]

    @property
    def width(self) -> int:
        """D, the numbers of an encoded row."""
        return sum(span.width for span in self.spans)

    def encode(self, table: pd.DataFrame) -> Numbers:
        """Rows ``[N, D]``."""
        parts = [column.encode(table[column.name]) for column in self.columns]
        return np.concatenate(parts, 1)

    def decode(self, rows: Numbers) -> pd.DataFrame:
        """The table of encoded rows ``[N, D]``."""
        parts = self.split(rows)
        decoded = {
            column.name: pd.Series(column.decode(part), dtype=object)
            for column, part in zip(self.columns, parts, strict=True)
        }
        return pd.DataFrame(decoded).infer_objects()

    def split(self, rows: Numbers) -> list[Numbers]:
        """The numbers of each column."""
        widths = [sum(span.width for span in column.spans) for column in self.columns]
        return np.split(rows, np.cumsum(widths)[:-1], axis=1)

    def category_number(self, name: str, value: Any) -> int:
        """The number of a value among those of all category columns."""
        start = 0
        for column in self.columns:
            if not isinstance(column, Category):
                continue
            if column.name == name:
                return start + column.values.index(value)
            start += len(column.values)
        raise KeyError(name)

    def to_json(self) -> str:
        """The schema as text, for configs."""
        columns = [fields_of(column) for column in self.columns]
        return json.dumps({"columns": columns, "left_out": self.left_out})

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The inverse of `to_json`."""
        fields = json.loads(text)
        columns = tuple(column_of(column) for column in fields["columns"])
        return cls(columns, tuple(fields["left_out"]))


def schema_of(
    table: pd.DataFrame, discrete: Sequence[str] = (), continuous: Sequence[str] = ()
) -> Schema:
    """The schema of a table.

    Booleans, text of few values, integers of at most ten values and constants are categories;
    numbers, also written as text, and ISO dates are continuous. Columns of names, with a value of
    its own in every other row, and columns without any value are left out.

    Args:
        table: with a name for each column.
        discrete, continuous: names of columns that are to be of this kind in any case.

    Raises:
        DataError: if there is no column to model, or a column cannot be what it should be.
    """
    unknown = [name for name in [*discrete, *continuous] if name not in table.columns]
    if unknown:
        raise DataError(
            f"data.discrete and data.continuous must name columns, {', '.join(unknown)} is not one"
            f" of {', '.join(map(str, table.columns))}"
        )
    if len(table.columns) > MAX_COLUMNS:
        raise DataError(
            f"a table may have at most {MAX_COLUMNS:,} columns, this one has"
            f" {len(table.columns):,}: remove some"
        )

    # Each column by itself.
    columns = []
    left_out = []
    for name in table.columns:
        column = _column(table[name], name in discrete, name in continuous)
        if column is None:
            left_out.append(str(name))
        else:
            columns.append(column)
    if not columns:
        raise DataError(
            "the table has no column that can be modeled: all are empty, or names of rows"
        )
    return Schema(tuple(columns), tuple(left_out))


def _column(values: pd.Series, discrete: bool, continuous: bool) -> Column | None:
    """The typed column; None for one that is left out."""
    name = str(values.name)
    known = values.dropna()
    if known.empty and not discrete:
        return None
    if discrete:
        return _category(values, name)

    # Numbers, and text that holds nothing but numbers; pandas would make numbers of dates.
    is_date = pd.api.types.is_datetime64_any_dtype(values)
    is_text = not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)
    numbers = to_numbers(values) if not is_date else np.full(len(values), np.nan)
    all_numbers = np.isfinite(numbers[values.notna().to_numpy()]).all()
    if continuous and not all_numbers and _dates(values) is None:
        raise DataError(f"data.continuous: column {name} holds values that are not numbers")
    if (not is_text or all_numbers) and not pd.api.types.is_bool_dtype(values):
        present = numbers[np.isfinite(numbers)]
        if not len(present):
            return None
        distinct = np.unique(present)
        few = len(distinct) <= FEW_VALUES and bool((distinct % 1 == 0).all())
        if (few and not continuous) or len(distinct) == 1:
            return _category(values, name)
        return _continuous(name, numbers, None)

    # Dates, then text of few values.
    seconds = _dates(values)
    if seconds is not None and len(np.unique(seconds[~np.isnan(seconds)])) > 1:
        date_only = bool((seconds[~np.isnan(seconds)] % 86_400 == 0).all())
        form = "%Y-%m-%d" if date_only else "%Y-%m-%d %H:%M:%S"
        return _continuous(name, seconds, form)
    if known.nunique() > min(MANY_VALUES, max(2, len(known) / 2)):
        return None
    return _category(values, name)


def _dates(values: pd.Series) -> Numbers | None:
    """Seconds since 1970, if all values are dates, or text that holds ISO dates."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return to_seconds(values)
    # A few values tell: most columns of text are no dates, and parsing all of them takes long.
    known = values.dropna()
    if not all(_may_be_date(value) for value in known.head(20)):
        return None
    seconds = to_seconds(values)
    return seconds if not np.isnan(seconds[values.notna().to_numpy()]).any() else None


def _may_be_date(value: Any) -> bool:
    return isinstance(value, date) or (isinstance(value, str) and "-" in value)


def _category(values: pd.Series, name: str) -> Category:
    counts = values.map(plain, na_action=None).value_counts(dropna=False)
    found = {_as_integer(plain(value)): int(count) for value, count in counts.items()}
    ordered = sorted(found, key=lambda value: (value is None, str(type(value)), value))
    return Category(name, tuple(ordered), tuple(found[value] for value in ordered))


def _as_integer(value: Any) -> Any:
    """Whole numbers as integers: missing values make floats of a column."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value


def _continuous(name: str, numbers: Numbers, date_format: str | None) -> Continuous:
    # The modes are those of present values; missing ones become a mode of their own.
    present = numbers[np.isfinite(numbers)]
    means, stds, weights = mixture(present, name)

    # Dates have a format instead of decimals.
    decimals = _decimals(present) if date_format is None else 0
    return Continuous(
        name,
        means,
        stds,
        weights,
        float(present.min()),
        float(present.max()),
        decimals,
        1 - len(present) / len(numbers),
        date_format,
    )


def _decimals(values: Numbers, most: int = 6) -> int | None:
    # Tiny numbers are not zeros.
    scale = min(1.0, float(np.abs(values).max()))
    for decimals in range(most):
        if np.allclose(values.round(decimals), values, rtol=0, atol=scale * 10.0 ** -(most + 3)):
            return decimals
    return None


def mixture(
    values: Numbers, name: str
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Means, standard deviations and weights of a variational Gaussian mixture.

    It has at most ten modes. Modes of a weight up to 0.005 are dropped, as in CTGAN.
    """
    from sklearn.mixture import BayesianGaussianMixture

    # A fixed choice of rows, on a scale of 1.
    if len(values) > FITTED_ROWS:
        rng = np.random.default_rng(stable_seed("rows of mixture", name))
        values = rng.choice(values, FITTED_ROWS, replace=False)
    center, scale = values.mean(), values.std()
    scaled = ((values - center) / scale)[:, None]

    # Fitted from one start, which need not converge.
    modes = min(MODES, len(np.unique(scaled)), len(scaled))
    fitted = BayesianGaussianMixture(  # type: ignore[no-untyped-call]
        n_components=modes,
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=0.001,
        n_init=1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.fit(scaled)  # type: ignore[no-untyped-call]

    # The modes that are used.
    used = fitted.weights_ > SMALLEST_WEIGHT
    means = fitted.means_[used, 0] * scale + center
    stds = np.sqrt(fitted.covariances_[used, 0, 0]) * scale
    weights = fitted.weights_[used] / fitted.weights_[used].sum()
    as_plain = [tuple(float(value) for value in part) for part in (means, stds, weights)]
    return as_plain[0], as_plain[1], as_plain[2]
