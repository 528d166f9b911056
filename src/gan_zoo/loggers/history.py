"""What was logged, in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger


class History(Logger):
    """What is logged, kept in memory by name: ``history["d/realism"]`` are the numbers,
    ``history["step"]`` the steps.

    A name that is logged less often than others has NaN where it is not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        """What Lightning asks every logger for."""
        return "history"

    @property
    def version(self) -> str:
        """What Lightning asks every logger for."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append({"step": float(step or 0), **metrics})

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: whoever made the parts has them."""

    def names(self) -> list[str]:
        """What was logged, in the order in which it first came."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names():
            raise KeyError(
                f"{name!r} was not logged; there are {', '.join(self.names()) or 'no entries'}"
            )
        return [row.get(name, math.nan) for row in self.rows]
