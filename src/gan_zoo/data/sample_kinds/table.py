"""Samples that are rows of a table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.data.sample_kinds.base import SampleKind
from gan_zoo.data.tables.columns import Category, Column, Continuous
from gan_zoo.data.tables.schema import Schema

if TYPE_CHECKING:
    from gan_zoo.data.dataset import Source

REAL, FAKE = (176, 176, 176), (200, 30, 60)
PLOTS = 24
BINS = 20
WIDTH, HEIGHT, MARGIN = 170, 110, 18


class Table(SampleKind):
    """Rows encoded as vectors ``[D]``, written as one CSV file in the table's own units.

    Args:
        schema: the columns, as `gan_zoo.data.tables.schema.Schema.to_json` writes them.
        target: the column that metrics predict from the others; None for the last one.
    """

    suffix = ".csv"
    per_image = 10

    def __init__(self, schema: str, target: str | None = None) -> None:
        self.text = schema
        self.target = target

    @cached_property
    def schema(self) -> Schema:
        """The columns."""
        return Schema.from_json(self.text)

    @property
    def target_column(self) -> str:
        """The column that metrics predict from the others."""
        return self.target or self.schema.names[-1]

    def decode(self, samples: Tensor) -> pd.DataFrame:
        """The table of encoded rows ``[N, D]``."""
        return self.schema.decode(samples.double().cpu().numpy())

    def draw(self, samples: Tensor, source: Source) -> Image.Image:
        """The distribution of each of the first columns: real in gray, generated in red."""
        columns = self.schema.columns[:PLOTS]
        pages = zip(
            columns,
            self.schema.split(source.samples.double().cpu().numpy()),
            self.schema.split(samples.double().cpu().numpy()),
            strict=False,
        )
        plots = [_plot(column, real, fake) for column, real, fake in pages]

        # As many plots in a row as make the image about as wide as high.
        across = min(len(plots), 6)
        down = -(-len(plots) // across)
        image = Image.new("RGB", (across * WIDTH, down * (HEIGHT + MARGIN)), "white")
        for number, plot in enumerate(plots):
            row, column_number = divmod(number, across)
            image.paste(plot, (column_number * WIDTH, row * (HEIGHT + MARGIN)))
        return image

    def write(self, blocks: Iterable[Tensor], target: Path) -> int:
        if target.suffix != self.suffix:
            raise DataError(f"rows are written to a .csv file, got --out {target}")
        frame = pd.concat([self.decode(block) for block in blocks], ignore_index=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary:
            frame.to_csv(temporary, index=False)
        return len(frame)


def _plot(column: Column, real: NDArray[np.float64], fake: NDArray[np.float64]) -> Image.Image:
    """Two histograms of a column above its name."""
    image = Image.new("RGB", (WIDTH, HEIGHT + MARGIN), "white")
    pen = ImageDraw.Draw(image)
    heights = _fractions(column, real), _fractions(column, fake)
    largest = max(float(part.max(initial=0)) for part in heights) or 1.0
    step = (WIDTH - 10) / len(heights[0])

    # Real values fill the bin, generated ones stand in the middle of it.
    for fractions, color, inset in ((heights[0], REAL, 0.5), (heights[1], FAKE, step / 4)):
        for number, fraction in enumerate(fractions):
            left = 5 + number * step + inset
            top = HEIGHT - (HEIGHT - 6) * fraction / largest
            pen.rectangle((left, top, left + step - 2 * inset, HEIGHT), fill=color)
    pen.text((WIDTH / 2, HEIGHT + 3), column.name[:26], fill="black", anchor="ma")
    return image


def _fractions(column: Column, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The fraction of rows in each bin of the column's range, or of each of its values."""
    if isinstance(column, Category):
        counts = np.bincount(rows.argmax(1), minlength=len(column.values))[:BINS]
        return counts / max(len(rows), 1)
    return _histogram(column, rows)


def _histogram(column: Continuous, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    values = column.decode_numbers(rows)
    present = values[~np.isnan(values)]
    counts, _ = np.histogram(present, BINS, (column.low, column.high))
    return counts / max(len(rows), 1)
