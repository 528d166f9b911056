"""Standard output that never stops a run, whether it is read or not."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import time
from typing import Any

TIMEOUT = 2.0
"""Seconds that a full pipe is waited for, before what it does not take is dropped."""


class _Unblocking(io.RawIOBase):
    """Writes to a pipe or a terminal; what nobody takes is dropped.

    A reader that has left (``| head``), a closed terminal or a full disk behind a redirection must
    not end a run, and a reader that has stopped reading must not hold it up.

    Args:
        descriptor: of an open file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        self._patience = TIMEOUT

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        try:
            while rest and self._has_room():
                # A pipe that has room takes PIPE_BUF bytes without blocking.
                rest = rest[
                    os.write(self._descriptor, rest[: select.PIPE_BUF if self._is_pipe else None]) :
                ]
        except OSError:  # nobody reads any more
            pass

        # What was dropped counts as written.
        return len(data)

    def _has_room(self) -> bool:
        """Whether a small piece can be written at once; patience is for readers that still read."""
        if not self._is_pipe:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        until = time.monotonic() + self._patience
        while not poll.poll(50):
            if time.monotonic() > until:
                # A reader that has stopped is not waited for again.
                self._patience = 0.0
                return False
        self._patience = TIMEOUT
        return True


def never_blocking() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` where they are pipes, terminals or files of this
    process.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            descriptor = stream.fileno()
            stream.flush()
        except (AttributeError, OSError, ValueError):  # closed, or in memory as under tests
            continue

        # Only files of this process are replaced, and only where they can be polled.
        buffer = getattr(stream, "buffer", None)  # a bare file under PYTHONUNBUFFERED
        if isinstance(buffer, (io.BufferedWriter, io.FileIO)) and hasattr(select, "poll"):
            raw = io.BufferedWriter(_Unblocking(descriptor))
            setattr(
                sys,
                name,
                io.TextIOWrapper(raw, stream.encoding, "backslashreplace", line_buffering=True),
            )
