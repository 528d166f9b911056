"""A tensor of images that are read and decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from gan_zoo.core.progress import with_progress

Decode = Callable[[int], np.ndarray[Any, Any]]
"""A row to its image ``[C, H, W]`` uint8."""
BLOCK = 256
"""Images that are read at a time, if it is all of them."""


class StreamedImages(Tensor):
    """uint8 images ``[N, C, H, W]`` without memory for them.

    Rows that are indexed become an ordinary tensor. Slices along rows, height and width stay
    streamed. Everything else reads all rows first.

    Args:
        decode: makes one image, of the whole data and of full size.
        rows: the rows of the data that these are.
        channels: C.
        down, across: the rows and columns of pixels that are kept, H and W of them.
    """

    decode: Decode
    rows: range
    down: range
    across: range

    @staticmethod
    def __new__(
        cls, decode: Decode, rows: range, channels: int, down: range, across: range
    ) -> StreamedImages:
        shape = (len(rows), channels, len(down), len(across))
        images: StreamedImages = Tensor._make_wrapper_subclass(cls, shape, dtype=torch.uint8)
        images.decode = decode
        images.rows = rows
        images.down = down
        images.across = across
        return images

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"StreamedImages({list(self.shape)})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return StreamedImages, (self.decode, self.rows, self.shape[1], self.down, self.across)

    def is_contiguous(self, *arguments: Any, **options: Any) -> bool:
        """No: there is no memory to read ahead."""
        return False

    def read(self, rows: Sequence[int]) -> Tensor:
        """The images ``rows`` of these as an ordinary tensor."""
        images = torch.empty(len(rows), *self.shape[1:], dtype=torch.uint8)
        target = images.numpy()
        down, across = (slice(part.start, part.stop) for part in (self.down, self.across))
        for place, row in enumerate(rows):
            target[place] = self.decode(self.rows[row])[:, down, across]
        return images

    def loaded(self, device: torch.device) -> Tensor:
        """All images as an ordinary tensor on ``device``."""
        images = torch.empty(self.shape, dtype=torch.uint8, device=device)
        starts = range(0, len(self.rows), BLOCK)
        title = f"Reading {len(self.rows):,} images into memory"
        for start in with_progress(starts, len(starts), title):
            rows = range(start, min(start + BLOCK, len(self.rows)))
            images[start : rows.stop] = self.read(rows)
        return images

    def part(self, dim: int, kept: slice) -> StreamedImages:
        """A slice along rows, height or width."""
        ranges = {0: self.rows, 2: self.down, 3: self.across}
        ranges[dim] = ranges[dim][kept]
        return StreamedImages(self.decode, ranges[0], self.shape[1], ranges[2], ranges[3])

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Rows where rows are asked for, else the function of all of them."""
        # Operations that choose rows or crop read nothing.
        handler = HANDLERS.get(function)
        if handler is not None and isinstance(arguments[0], StreamedImages):
            handled = handler(*arguments, **(options or {}))
            if handled is not NotImplemented:
                return handled

        def whole(value: Any) -> Any:
            is_streamed = isinstance(value, StreamedImages)
            return value.read(range(len(value.rows))) if is_streamed else value

        return function(*tree_map(whole, arguments), **tree_map(whole, options or {}))


def _index_select(images: StreamedImages, dim: int, rows: Tensor) -> Any:
    return images.read(rows.tolist()) if dim == 0 else NotImplemented


def _index(images: StreamedImages, places: Sequence[Tensor | None]) -> Any:
    if len(places) != 1 or places[0] is None or places[0].ndim != 1:
        return NotImplemented
    rows = places[0]
    return images.read((rows.nonzero().flatten() if rows.dtype == torch.bool else rows).tolist())


def _select(images: StreamedImages, dim: int, row: int) -> Any:
    return images.read([row])[0] if dim == 0 else NotImplemented


def _slice(
    images: StreamedImages,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    is_kept = dim == 0 or (dim in (2, 3) and step == 1)
    return images.part(dim, slice(start, end, step)) if is_kept else NotImplemented


def _split(images: StreamedImages, size: int, dim: int = 0) -> Any:
    if dim != 0:
        return NotImplemented
    return [images.part(0, slice(at, at + size)) for at in range(0, len(images.rows), size)]


def _same(images: StreamedImages) -> Any:
    return images.part(0, slice(None))


_ops = torch.ops.aten
HANDLERS: dict[Any, Callable[..., Any]] = {
    _ops.index_select.default: _index_select,
    _ops.index.Tensor: _index,
    _ops.select.int: _select,
    _ops.slice.Tensor: _slice,
    _ops.split.Tensor: _split,
    _ops.detach.default: _same,
    _ops.alias.default: _same,
}
