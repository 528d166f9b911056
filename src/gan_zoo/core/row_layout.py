"""The layout of encoded table rows: which numbers of a row belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

KINDS = ("scalar", "mode", "category")


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive numbers of an encoded row.

    Attributes:
        kind: ``scalar`` for one number in [-1, 1]; ``mode`` for a one-hot vector that says what the
            scalar before it is relative to; ``category`` for a one-hot vector of a column's value.
        width: how many numbers.
        counts: for ``category``, how often each value occurs in the data.
    """

    kind: str
    width: int
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"the kind of a span must be one of {', '.join(KINDS)}, got {self}")
        if self.width < 1 or (self.kind == "scalar" and self.width != 1):
            raise ValueError(f"a span needs a width >= 1, and 1 for a scalar, got {self}")
        if self.kind == "category" and len(self.counts) != self.width:
            raise ValueError(f"a category needs a count for each of its values, got {self}")


def spans_of(plain: Sequence[Mapping[str, Any]]) -> list[Span]:
    """The spans of a config's list of mappings."""
    return [Span(item["kind"], item["width"], tuple(item.get("counts", ()))) for item in plain]


class RowLayout(nn.Module):
    """Operations on rows ``[B, D]`` span by span, for all spans at once.

    Args:
        spans: in the order of a row's numbers.
    """

    owner: Tensor
    is_scalar: Tensor
    categories: Tensor
    frequencies: Tensor

    def __init__(self, spans: Sequence[Span]) -> None:
        super().__init__()
        widths = torch.tensor([span.width for span in spans])
        self.num_spans = len(spans)
        self.width = int(widths.sum())
        starts = widths.cumsum(0) - widths

        # The span of each number, and which numbers are scalars.
        scalar = torch.tensor([span.kind == "scalar" for span in spans])
        buffers = {
            "owner": torch.arange(len(spans)).repeat_interleave(widths),
            "is_scalar": scalar.repeat_interleave(widths),
        }

        # Where each value of each category column is, and how often it is chosen: columns are
        # equally likely, values of a column as often as they occur.
        columns = [number for number, span in enumerate(spans) if span.kind == "category"]
        places = [torch.arange(widths[number].item()) + starts[number].item() for number in columns]
        shares = []
        for number in columns:
            counts = torch.tensor(spans[number].counts, dtype=torch.float64)
            shares.append(counts / counts.sum() / len(columns))
        empty = torch.empty(0)
        buffers["categories"] = torch.cat(places) if places else empty.long()
        buffers["frequencies"] = torch.cat(shares) if shares else empty.double()
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    @property
    def num_categories(self) -> int:
        """C, the number of values of all category columns together."""
        return len(self.categories)

    def draw_categories(self, uniform: Tensor) -> Tensor:
        """Numbers of values ``[B]``, below C, of a random column each, for uniform numbers."""
        cumulative = self.frequencies.cumsum(0).to(uniform)
        drawn = torch.searchsorted(cumulative, uniform * cumulative[-1], right=True)
        return drawn.clamp(max=self.num_categories - 1)

    def log_softmax(self, logits: Tensor) -> Tensor:
        """The logarithm of the softmax over each span, ``[B, D]``; scalars become 0."""
        # The largest logit of each span is subtracted first; the result does not depend on it.
        index = self.owner.expand(len(logits), -1)
        largest = logits.new_full((len(logits), self.num_spans), -torch.inf)
        largest = largest.scatter_reduce(1, index, logits.detach(), "amax")
        centered = logits - largest.gather(1, index)
        sums = logits.new_zeros(len(logits), self.num_spans)
        sums = sums.scatter_add(1, index, centered.exp())
        return centered - sums.log().gather(1, index)

    def activate(self, raw: Tensor, uniform: Tensor | None, temperature: float) -> Tensor:
        """Rows ``[B, D]``: tanh of scalars, and for one-hot vectors the Gumbel softmax.

        softmax((l - log(-log u)) / t) over each span, Jang et al. 2017, eq. 2.

        Args:
            raw: ``[B, D]``, logits where rows are one-hot.
            uniform: u in (0, 1), ``[B, D]``; None for the softmax without noise.
            temperature: t > 0.
        """
        logits = raw
        if uniform is not None:
            smallest = torch.finfo(uniform.dtype).tiny
            logits = raw - (-uniform.clamp(min=smallest).log()).clamp(min=smallest).log()
        return torch.where(self.is_scalar, raw.tanh(), self.log_softmax(logits / temperature).exp())

    def category_loss(self, logits: Tensor, category: Tensor) -> Tensor:
        """Mean cross-entropy of the columns that ``category`` ``[B]`` names with its values."""
        place = self.categories[category][:, None]
        return -self.log_softmax(logits).gather(1, place).mean()

    def one_hot(self, category: Tensor) -> Tensor:
        """Conditions ``[B, C]``."""
        return nn.functional.one_hot(category, self.num_categories).float()
