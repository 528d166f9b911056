"""SIGTERM, SIGINT and SIGHUP: finish the step, save, and leave with the exit code that schedulers
expect.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gan_zoo.core.errors import Interrupted

HANDLED = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)


class Signals:
    """Remembers a signal until the run is at a point where it can stop.

    A second SIGINT, from somebody who does not want to wait, ends the process at once. Schedulers
    and launchers often send SIGTERM twice, so that does not.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._at = 0.0
        self._stop_at_once = False
        self._depth = 0

    @property
    def will_be_restored(self) -> bool:
        """Whether this is within the block of `handlers_restored`."""
        return self._depth > 0

    @contextmanager
    def handlers_restored(self) -> Iterator[None]:
        """Whatever handlers the block installs, those there were before are back after it; signals
        are forgotten.
        """
        self.pending = None
        before = {number: signal.getsignal(number) for number in HANDLED}
        at_once = self._stop_at_once
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self.pending = None
            self._stop_at_once = at_once
            # Only the main thread may set handlers.
            if _is_main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def install(self) -> None:
        """Take over from the handlers there are; what is ignored, as SIGHUP under nohup, stays
        ignored.
        """
        if _is_main_thread():
            for number in HANDLED:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._handle)

    @contextmanager
    def raise_immediately(self) -> Iterator[None]:
        """Within the block, which must not change what is saved, a signal raises `Interrupted`
        where it arrives.
        """
        if self.pending is not None:
            raise Interrupted(self.pending)
        with self._stopping(at_once=True):
            yield

    @contextmanager
    def raise_after_step(self) -> Iterator[None]:
        """Within the block a signal is remembered only: what runs there asks for it where it can
        stop.
        """
        with self._stopping(at_once=False):
            yield

    @contextmanager
    def _stopping(self, at_once: bool) -> Iterator[None]:
        before, self._stop_at_once = self._stop_at_once, at_once
        try:
            yield
        finally:
            self._stop_at_once = before

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again = self.pending is not None

        # A second SIGINT ends the process, unless it follows within a second.
        if again and number == signal.SIGINT and time.monotonic() - self._at > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        # The first signal is remembered until the run can stop.
        if not again:
            self.pending, self._at = number, time.monotonic()
        if self._stop_at_once and not again:
            raise Interrupted(number)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


SIGNALS = Signals()
