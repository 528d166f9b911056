"""Progress of what takes a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.markup import escape
from rich.progress import Progress

SILENT = 5.0
"""Seconds after which a line says what is going on where there is no terminal for a bar."""

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
    """``items`` with a progress bar that vanishes when done, or one line without a terminal."""
    with Progress(transient=True) as progress:
        start = time.monotonic()
        due = not progress.console.is_terminal
        tracked = progress.track(items, total=total, description=escape(title))
        for done, item in enumerate(tracked):
            yield item

            # Once, with how long it takes at the pace so far.
            passed = time.monotonic() - start
            if due and passed > SILENT:
                left = passed / (done + 1) * (total - done - 1)
                print(f"{title}: about {left:,.0f} s left", file=sys.stderr, flush=True)
                due = False
