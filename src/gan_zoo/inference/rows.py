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
from gan_zoo.data.tables.columns import Category
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
        value: a category, or a number.
        category: the number of the value among those of all category columns; None for numbers.
    """

    column: str
    symbol: str
    value: Any
    category: int | None = None

    def meets(self, table: pd.DataFrame) -> Any:
        """Whether each row does, bool ``[N]``."""
        column = table[self.column]
        if self.category is not None:
            matches = column.isna() if self.value is None else column == self.value
            return matches.to_numpy(dtype=bool)
        return OPERATORS[self.symbol](column.astype(float).to_numpy(), self.value)


def parse_condition(text: str, kind: Table) -> Condition:
    """The condition of ``--where``, such as ``job=teacher`` or ``age>=30``.

    Raises:
        ConfigError: naming the columns, or the values of the column.
    """
    # The column, of those whose names the text begins with the longest.
    columns = {column.name: column for column in kind.schema.columns}
    names = "|".join(re.escape(name) for name in sorted(columns, key=len, reverse=True))
    match = re.fullmatch(rf"\s*({names})\s*(>=|<=|=|>|<)\s*(.*?)\s*", text)
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
    try:
        return Condition(name, symbol, float(value))
    except ValueError:
        raise ConfigError(f"--where {name}{symbol} needs a number, got {value!r}") from None


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
                f"only {found} of {made:,} generated rows meet --where: ask for less at once"
            )
