"""The columns of a table, as numbers and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gan_zoo.core.rng import stable_seed
from gan_zoo.core.row_layout import Span

Numbers = NDArray[np.float64]
SCALE = 4
"""Standard deviations of a mode that are 1."""

LIMIT = 0.99
"""Largest absolute value of a scalar."""


@dataclass(frozen=True, slots=True)
class Category:
    """A column of few values, as a one-hot vector.

    Attributes:
        name: of the column.
        values: text, numbers or booleans; None stands for a missing value.
        counts: how often each occurs.
    """

    name: str
    values: tuple[Any, ...]
    counts: tuple[int, ...]
    kind: str = "category"

    @property
    def spans(self) -> list[Span]:
        """One one-hot vector."""
        return [Span("category", len(self.values), self.counts)]

    def encode(self, column: pd.Series) -> Numbers:
        """``[N, K]``; a value that was not seen before is an error of the caller."""
        return np.eye(len(self.values))[self.codes(column)]

    def codes(self, column: pd.Series) -> NDArray[np.int64]:
        """The number of each value, ``[N]``."""
        numbers = {value: number for number, value in enumerate(self.values)}
        return np.array([numbers[plain(value)] for value in column], dtype=np.int64)

    def decode(self, encoded: Numbers) -> list[Any]:
        """The most likely value of each row of ``[N, K]``."""
        return [self.values[number] for number in encoded.argmax(1)]


@dataclass(frozen=True, slots=True)
class Continuous:
    """A column of numbers or dates, relative to one of the modes of a Gaussian mixture.

    Mode-specific normalization, Xu et al. 2019, section 4.2: a value x of mode k is the scalar
    (x - mean_k) / (4 std_k) and the one-hot vector of k. Which mode a value belongs to is drawn
    from their posterior probabilities. Missing values have a mode of their own.

    Attributes:
        name: of the column.
        means, stds, weights: of the modes.
        low, high: the range of the data, to which generated values are clipped.
        decimals: of the data; None if there are six or more.
        missing: the fraction of missing values; 0 for a column without that mode.
        date_format: of dates, which are seconds since 1970; None for numbers.
    """

    name: str
    means: tuple[float, ...]
    stds: tuple[float, ...]
    weights: tuple[float, ...]
    low: float
    high: float
    decimals: int | None = None
    missing: float = 0.0
    date_format: str | None = None
    kind: str = "continuous"

    @property
    def spans(self) -> list[Span]:
        """The scalar, and the one-hot vector of the mode."""
        return [Span("scalar", 1), Span("mode", len(self.means) + (self.missing > 0))]

    def encode(self, column: pd.Series) -> Numbers:
        """``[N, 1 + K]``."""
        values = self.numbers(column)
        known = ~np.isnan(values)
        encoded = np.zeros((len(values), sum(span.width for span in self.spans)))
        encoded[~known, -1] = 1

        # The posterior probability of each mode, of which one is drawn.
        means, stds = np.array(self.means), np.array(self.stds)
        distance = (values[known, None] - means) / stds
        logits = np.log(self.weights) - np.log(stds) - 0.5 * distance**2
        posterior = np.exp(logits - logits.max(1, keepdims=True))
        posterior /= posterior.sum(1, keepdims=True)
        rng = np.random.default_rng(stable_seed("mode", self.name))
        drawn = rng.random(int(known.sum()))[:, None]
        modes = (posterior.cumsum(1) < drawn).sum(1).clip(max=len(means) - 1)

        # The scalar relative to that mode.
        rows = np.flatnonzero(known)
        scalars = distance[np.arange(len(rows)), modes] / SCALE
        encoded[rows, 0] = scalars.clip(-LIMIT, LIMIT)
        encoded[rows, 1 + modes] = 1
        return encoded

    def decode(self, encoded: Numbers) -> list[Any]:
        """The values of rows ``[N, 1 + K]``."""
        values = self.decode_numbers(encoded)
        if self.date_format is not None:
            dates = pd.to_datetime(pd.Series(values), unit="s").dt.strftime(self.date_format)
            return [None if pd.isna(date) else date for date in dates]
        if self.decimals == 0:
            return [None if np.isnan(value) else int(value) for value in values]
        return [None if np.isnan(value) else float(value) for value in values]

    def decode_numbers(self, encoded: Numbers) -> Numbers:
        """The values as numbers, ``[N]``; NaN where they are missing."""
        modes = encoded[:, 1:].argmax(1)
        missing = modes == len(self.means)
        modes = modes.clip(max=len(self.means) - 1)
        spread = SCALE * np.array(self.stds)[modes]
        values: Numbers = np.array(self.means)[modes] + spread * encoded[:, 0].clip(-1, 1)
        values = values.clip(self.low, self.high)
        if self.decimals is not None:
            values = values.round(self.decimals)
        values[missing] = np.nan
        return values

    def numbers(self, column: pd.Series) -> Numbers:
        """The values as numbers, ``[N]``; NaN where they are missing."""
        return to_seconds(column) if self.date_format is not None else to_numbers(column)


Column = Category | Continuous


def column_of(fields: dict[str, Any]) -> Column:
    """The column that `fields_of` described."""
    kind: Any = Category if fields["kind"] == "category" else Continuous
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    column: Column = kind(**values)
    return column


def fields_of(column: Column) -> dict[str, Any]:
    """The column as plain data."""
    return asdict(column)


def plain(value: Any) -> Any:
    """A value of a table as plain Python; None where it is missing."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if value is pd.NA:
        return None
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and np.isnan(value):
        return None
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def to_numbers(column: pd.Series) -> Numbers:
    """Numbers, also of text that holds numbers, and durations in seconds; NaN where there is none,
    or it is infinite.
    """
    # pandas would make nanoseconds of them, and a number of a missing one.
    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    numbers = pd.to_numeric(column, errors="coerce")
    values: Numbers = numbers.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def to_seconds(column: pd.Series) -> Numbers:
    """Dates as seconds since 1970; NaN where there is none."""
    dates = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
    dates = dates.dt.tz_localize(None)
    values: Numbers = (dates - pd.Timestamp(0)).dt.total_seconds().to_numpy(dtype=np.float64)
    return values
