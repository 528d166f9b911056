"""Counts of a run: images, generator steps, seconds of training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Clock:
    """Counts images and generator steps, and the seconds of training without pauses for images and
    metrics.
    """

    def __init__(self) -> None:
        self.images_seen = 0
        self.generator_steps = 0
        self._seconds = 0.0
        self._since = time.perf_counter()
        self._last_report = (0, 0.0)

    def start(self) -> None:
        """Start counting seconds, or continue after a restart."""
        self._since = time.perf_counter()
        # The first speed after a restart does not count what came before.
        self._last_report = (self.images_seen, self.seconds)

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return self._seconds + time.perf_counter() - self._since

    @property
    def images_per_second(self) -> float:
        """Mean over the whole run."""
        return self.images_seen / max(self.seconds, 1e-9)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent in this block is not training."""
        self._seconds = self.seconds
        try:
            yield
        finally:
            self._since = time.perf_counter()

    def log_values(self) -> dict[str, float]:
        """The counts for the log, with the speed since the last call."""
        images, seconds = self._last_report
        self._last_report = (self.images_seen, self.seconds)
        return {
            "train/images_seen": float(self.images_seen),
            "train/generator_steps": float(self.generator_steps),
            "train/images_per_second": (self.images_seen - images)
            / max(self.seconds - seconds, 1e-9),
        }

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers for the checkpoint."""
        counts = {"images_seen": self.images_seen, "generator_steps": self.generator_steps}
        return counts | {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the counts of a checkpoint."""
        self.images_seen = state["images_seen"]
        self.generator_steps = state["generator_steps"]
        # The time from saving to loading is not training.
        self._seconds = state["seconds"]
        self._since = time.perf_counter()
