"""Means of numbers over all processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class Means(Metric):
    """The means of the columns of ``[B, K]`` over all rows of all processes, by float64 sums.

    Args:
        columns: K.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, columns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros(columns, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.set_dtype(torch.float64)
        self.update(torch.empty(0, columns))  # processes that get no rows take part in the sum, too

    def update(self, rows: Tensor) -> None:
        """Add rows ``[B, K]``."""
        self.total += rows.to(self.total.device).double().sum(0)
        self.count += len(rows)

    def compute(self) -> tuple[list[float], int]:
        """The means, and over how many rows."""
        count = int(self.count)
        return (self.total / max(count, 1)).tolist(), count
