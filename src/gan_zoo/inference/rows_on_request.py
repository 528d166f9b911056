"""Generated rows of a table that meet conditions."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count as numbers_from
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.rng import CPU, StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.sample_kinds.table import Table
from gan_zoo.data.tables.columns import Category, Continuous, to_numbers, to_seconds
from gan_zoo.inference.model import LoadedModel

BLOCK = 512
PATIENCE = 100_000
"""Rows that are generated before so few of them are right that it is an error."""

RARE = 1e-3
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What rows must be: ``column operator value``.

    Attributes:
        column: its name.
        symbol: ``=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: a category, a number, or a date in seconds since 1970; None for a missing value.
        category: the number of the value among those of all category columns; None for numbers.
        is_date: whether the column holds dates.
    """

    column: str
    symbol: str
    value: Any
    category: int | None = None
    is_date: bool = False

    def meets(self, table: pd.DataFrame) -> Any:
        """Whether each row does, bool ``[N]``."""
        column = table[self.column]
        if self.value is None:
            return column.isna().to_numpy(dtype=bool)
        if self.category is not None:
            return (column == self.value).to_numpy(dtype=bool)
        numbers = to_seconds(column) if self.is_date else to_numbers(column)
        return OPERATORS[self.symbol](numbers, self.value)


def parse_condition(text: str, kind: Table) -> Condition:
    """The condition of ``--where``, such as ``job=teacher`` or ``age>=30``.

    Raises:
        ConfigError: naming the columns, or the values of the column.
    """
    # The column, of those whose names the text begins with the longest.
    columns = {column.name: column for column in kind.schema.columns}
    names = "|".join(re.escape(name) for name in sorted(columns, key=len, reverse=True))
    match = re.fullmatch(rf"\s*({names})\s*(>=|<=|=|>|<)\s*(.*?)\s*", text)
    if match is None and any(text.startswith(name) for name in kind.schema.left_out):
        raise ConfigError(
            f"--where {text}: this column is not generated; left out were"
            f" {', '.join(kind.schema.left_out)}"
        )
    if match is None:
        raise ConfigError(
            f"--where must be COLUMN=VALUE, or with < <= > >= for numbers, with a column of"
            f" {', '.join(columns)}; got {text!r}"
        )
    name, symbol, value = match.groups()
    column = columns[name]

    # A category is one of those that occur, anything else a number.
    if isinstance(column, Category):
        known = {"" if value is None else str(value): value for value in column.values}
        if symbol != "=" or value not in known:
            listed = ", ".join(list(known)[:20]) + (" ..." if len(known) > 20 else "")
            raise ConfigError(f"--where {name}= must be one of {listed}, got {symbol}{value}")
        return Condition(
            name, symbol, known[value], kind.schema.category_number(name, known[value])
        )
    if not value and symbol == "=" and column.missing:
        return Condition(name, symbol, None)
    return _of_numbers(column, symbol, value)


def _of_numbers(column: Continuous, symbol: str, text: str) -> Condition:
    """The condition of a column of numbers or dates, which some value of its range meets."""
    is_date = column.date_format is not None
    try:
        value = float(to_seconds(pd.Series([text]))[0]) if is_date else float(text)
    except ValueError:
        value = np.nan
    if np.isnan(value):
        wanted = "a date such as 2024-12-31" if is_date else "a number"
        raise ConfigError(f"--where {column.name}{symbol} needs {wanted}, got {text!r}")

    # Generated values are within the range of the data, with as many decimals.
    ends = np.array([column.low, column.high])
    between = column.low <= value <= column.high
    if column.decimals is not None and round(value, column.decimals) != value:
        between = False
    if not (between if symbol == "=" else OPERATORS[symbol](ends, value).any()):
        shown = [
            f"{pd.to_datetime(end, unit='s'):%Y-%m-%d}" if is_date else f"{end:g}" for end in ends
        ]
        whole = " whole numbers" if column.decimals == 0 and not is_date else ""
        raise ConfigError(
            f"--where {column.name}{symbol}{text} is met by no row: the values are{whole}"
            f" {shown[0]} to {shown[1]}"
        )
    return Condition(column.name, symbol, value, is_date=is_date)


def write_rows(run: LoadedModel, target: Path, count: int, seed: int, where: Sequence[str]) -> int:
    """Write ``count`` generated rows that meet all conditions, and return their number.

    The first value of a category column is what the generator is conditioned on, if it can be; rows
    that do not meet all conditions are left out.

    Raises:
        ConfigError: for a condition that the table does not have.
        DataError: if hardly any row meets them.
    """
    kind = run.sample_kind
    if not isinstance(kind, Table):
        raise ConfigError("--where is for runs of tables (data=table), this one has none")
    conditions = [parse_condition(text, kind) for text in where]
    return kind.write(_matching(run, kind, count, seed, conditions), target)


def _matching(
    run: LoadedModel, kind: Table, count: int, seed: int, conditions: Sequence[Condition]
) -> Iterator[Tensor]:
    """Blocks of rows that meet the conditions, ``count`` in all."""
    asked = next((c.category for c in conditions if c.category is not None), None)
    can_ask = "category" in run.module.model.needs
    label = torch.full((BLOCK,), asked) if asked is not None and can_ask else None

    # Blocks with random numbers of their own, until there are enough.
    found = 0
    for block in numbers_from():
        request = SampleRequest(
            BLOCK, StepRNG(stable_seed(seed, "sample"), block, device=CPU), label=label
        )
        rows = run.module.sample(request).cpu()
        table = kind.decode(rows)
        meets = np.logical_and.reduce([condition.meets(table) for condition in conditions])
        kept = rows[torch.from_numpy(meets)][: count - found]
        found += len(kept)
        yield kept
        if found == count:
            return
        made = (block + 1) * BLOCK
        if made >= PATIENCE and found < RARE * made:
            raise DataError(
                f"only {found} of {made:,} generated rows meet --where: leave out a condition"
            )
