"""Samples as one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

from gan_zoo.core.errors import DataError
from gan_zoo.data.image_tensors import grid_of, to_pil, to_uint8

LINE = 11
"""Height of a line of text in pixels."""
WIDTH = 8
"""Columns that a grid of few classes fills."""


def side_by_side(views: Mapping[str, Tensor], rows: int = 8) -> Image.Image:
    """One row for each sample with all of its views next to each other under their names, in blocks
    of ``rows`` rows.

    Views ``[B, C, H, W]`` in [-1, 1] may differ in channels: gray becomes RGB. Small ones are
    enlarged so far that the names fit.
    """
    size = max((view.shape[2:] for view in views.values()), key=max)
    tensors = [as_rgb(view.cpu(), size) for view in views.values()]
    table = torch.stack(tensors, 1)  # [B, V, 3, H, W]

    # White rows fill up the last block.
    rows = min(rows, len(table))
    missing = -len(table) % rows
    table = torch.cat([table, table.new_ones(missing, *table.shape[1:])])
    blocks = [grid_of(block.flatten(0, 1), len(tensors)) for block in torch.split(table, rows)]

    # Blocks stand next to each other below the names of their columns.
    cell = table.shape[-1] + 2  # with the border
    return add_column_titles(torch.cat(blocks, 2), list(views), len(blocks), cell)


def as_rgb(images: Tensor, size: Sequence[int]) -> Tensor:
    """Images ``[B, 3, *size]``: gray becomes RGB, further channels are left out, pixels are
    repeated.
    """
    channels = images.shape[1]
    shown = images[:, :3] if channels >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    return shown if shown.shape[2:] == torch.Size(size) else interpolate(shown, list(size))


def add_column_titles(
    grid: Tensor, names: Sequence[str], blocks: int, cell: int, smallest: int = 48
) -> Image.Image:
    """A grid with the names of its columns above each block; cells are enlarged to at least
    ``smallest`` pixels.
    """
    # Cells are enlarged by a whole factor, rounded up.
    scale = -(-smallest // cell)
    columns = to_pil(grid)
    columns = columns.resize(
        (columns.width * scale, columns.height * scale), Image.Resampling.NEAREST
    )
    page = Image.new("RGB", (columns.width, columns.height + LINE), "white")
    page.paste(columns, (0, LINE))

    # Each name is centered over its column, and cut where it is wider.
    pen = ImageDraw.Draw(page)
    for block in range(blocks):
        for number, name in enumerate(names):
            middle = block * (len(names) * cell + 2) + (number + 0.5) * cell + 1
            pen.text(
                (middle * scale, 0), cut_to(name, pen, cell * scale), fill="black", anchor="ma"
            )
    return page


def cut_to(text: str, pen: ImageDraw.ImageDraw, width: float) -> str:
    """As much of ``text`` as ``width`` pixels hold."""
    while text and pen.textlength(text) > width:
        text = text[:-1]
    return text


def with_captions(
    samples: Tensor, captions: Sequence[str], columns: int = 8, side: int = 96
) -> Image.Image:
    """Images ``[B, C, H, W]`` in [-1, 1], enlarged to ``side`` pixels, each above its caption."""
    # A cell is an image with three lines of text below and a margin.
    line, lines = LINE, 3
    rows = -(-len(samples) // columns)
    cell = side + 8, side + lines * line + 8
    page = Image.new("RGB", (columns * cell[0], rows * cell[1]), "white")
    pen = ImageDraw.Draw(page)
    for number, (sample, caption) in enumerate(zip(to_uint8(samples.cpu()), captions, strict=True)):
        left, top = number % columns * cell[0] + 4, number // columns * cell[1] + 4
        image = to_pil(sample).convert("RGB").resize((side, side), Image.Resampling.NEAREST)
        page.paste(image, (left, top))
        for k, text in enumerate(wrap_text(caption, pen, side)[:lines]):
            pen.text((left, top + side + k * line), text, fill="black")
    return page


def image_grid(samples: Tensor, columns: int | None = None) -> Image.Image:
    """Images ``[B, C, H, W]`` in [-1, 1] as one Pillow image for notebooks; about square without
    ``columns``.
    """
    return to_pil(grid_of(samples, columns))


def wrap_text(text: str, pen: ImageDraw.ImageDraw, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels; longer words are cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and pen.textlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def save(image: Tensor | Image.Image, path: Path) -> None:
    """Write a uint8 image ``[3, H, W]`` or a Pillow image, in the format that the name's ending
    stands for.

    Raises:
        DataError: if it stands for none.
    """
    if path.suffix.lower() not in Image.registered_extensions():
        raise DataError(f"an image must end in .png or another ending of images, got {path.name!r}")
    image = to_pil(image) if isinstance(image, Tensor) else image
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def image_of(
    views: Mapping[str, Tensor],
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    classes: Sequence[str] = (),
) -> Any:
    """The image that suits ``views``: inputs next to outputs, captions below, classes above
    columns, or a grid.
    """
    if len(views) > 1:
        return side_by_side(views)
    samples = views["sample"]
    if captions is not None:
        return with_captions(samples, captions)
    if columns is None:
        return grid_of(samples)

    # Few classes stand next to each other several times, so that the grid is not a strip.
    repeats = max(1, min(WIDTH // columns, len(samples) // columns))
    grid = grid_of(samples, columns * repeats)
    if len(classes) != columns:
        return grid
    return add_column_titles(grid, list(classes) * repeats, 1, samples.shape[-1] + 2)
