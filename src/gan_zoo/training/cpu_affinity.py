"""Which CPU cores a process may use, where the system lets it choose (Linux)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

THREADS = Path("/proc/self/task")
TOPOLOGY = Path("/sys/devices/system/cpu")


def allowed_cores() -> list[int]:
    """The cores this process may use, neighbors first: by processor, then by core, then by thread
    of the core.
    """

    def place(core: int) -> tuple[int, int, int]:
        folder = TOPOLOGY / f"cpu{core}" / "topology"
        try:
            package, physical = (
                int((folder / name).read_text()) for name in ("physical_package_id", "core_id")
            )
        except (OSError, ValueError):  # a container may hide it
            return 0, core, core
        return package, physical, core

    return sorted(os.sched_getaffinity(0), key=place) if THREADS.exists() else []


def share(cores: Sequence[int], part: int, parts: int) -> Sequence[int]:
    """The ``part``-th of ``parts`` shares of neighbors with no core in common, or all ``cores`` if
    there are fewer.
    """
    if len(cores) < parts:
        return cores
    # Shares differ by one core at most.
    return cores[part * len(cores) // parts : (part + 1) * len(cores) // parts]


def keep_to(cores: Sequence[int]) -> None:
    """Let no thread of this process, nor those it starts, leave ``cores``, if the system allows it.

    An empty list changes nothing.
    """
    for thread in THREADS.iterdir() if cores else ():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except OSError:  # it has ended since, or a sandbox forbids it: training goes on where it is
            continue
