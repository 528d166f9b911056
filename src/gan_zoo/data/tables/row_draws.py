"""Rows drawn by the value of one of their columns, so that rare values are seen often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.row_layout import Span


class RowDraws:
    """Training by sampling (Xu et al. 2019, section 4.3).

    A category column is drawn uniformly, then one of its values by the logarithm of its frequency,
    then a row with this value uniformly.

    Args:
        samples: encoded rows ``[N, D]``.
        spans: their layout, with at least one category.
    """

    def __init__(self, samples: Tensor, spans: Sequence[Span]) -> None:
        # The value of each row in each category column.
        widths = [span.width for span in spans]
        parts = torch.split(samples, widths, dim=1)
        codes = [
            part.argmax(1)
            for part, span in zip(parts, spans, strict=True)
            if span.kind == "category"
        ]
        sizes = [span.width for span in spans if span.kind == "category"]

        # Rows sorted by value, column after column, and where the rows of each value begin.
        order = [code.argsort(stable=True) for code in codes]
        counts = [
            torch.bincount(code, minlength=size) for code, size in zip(codes, sizes, strict=True)
        ]
        self.rows = torch.cat(order)
        self.counts = torch.cat(counts)
        self.first = self.counts.cumsum(0) - self.counts

        # The probability of each value; those that do not occur are not drawn.
        logs = [count.double().log1p() for count in counts]
        shares = torch.cat([log / log.sum() / len(logs) for log in logs])
        self.cumulative = shares.cumsum(0)

    def __call__(self, size: int, rng: StepRNG) -> tuple[Tensor, Tensor]:
        """Rows ``[size]`` and the numbers of the values by which they were drawn, ``[size]``."""
        on_cpu = rng.to(CPU)
        uniform = on_cpu.uniform("drawn value", size).double() * self.cumulative[-1]
        values = torch.searchsorted(self.cumulative, uniform, right=True)
        values = values.clamp(max=int(self.counts.nonzero().max()))
        within = (on_cpu.uniform("drawn row", size).double() * self.counts[values]).long()
        return self.rows[self.first[values] + within], values
