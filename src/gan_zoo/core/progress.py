"""A progress bar for what takes a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.markup import escape
from rich.progress import Progress

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
    """``items`` with a progress bar that vanishes when done."""
    with Progress(transient=True) as progress:
        yield from progress.track(items, total=total, description=escape(title))
