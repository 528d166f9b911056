"""Helpers of all benchmarks: machine name, medians and ratios, and a result file for each machine."""

from __future__ import annotations

import datetime
import random
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from gan_zoo.core.provenance import hardware

RESULTS = Path(__file__).with_name("results")
Speeds = dict[str, list[float]]
"""The measurements of each competitor, in the order in which they were taken."""


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronize() -> None:
    """Wait until the device has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def machine() -> str:
    return f"{hardware()}, torch {torch.__version__}, {datetime.date.today()}"


def peak_memory() -> float:
    """Peak memory in MB of this process, or of its tensors on a GPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text(
        encoding="utf-8"
    )  # rusage would count the parent's memory, too
    return (
        int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        / 2**10
    )


def timed(step: Callable[[], None], warmup: int, steps: int, images: int) -> float:
    """Images/s of ``steps`` steps of ``images`` images each."""
    for _ in range(warmup):
        step()
    synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize()
    return steps * images / (time.perf_counter() - start)


def interleaved(competitors: Mapping[str, Callable[[], float]], rounds: int) -> Speeds:
    """The measurements of every competitor in each round, in a random order for each round."""
    order = random.Random(0)
    speeds = {name: [] for name in competitors}
    for _ in range(rounds):
        for name in order.sample(list(competitors), len(competitors)):
            speeds[name].append(competitors[name]())
    return speeds


def ratio(speeds: Speeds, name: str, other: str) -> float:
    """The median over rounds of one competitor's speed by another's."""
    return statistics.median(a / b for a, b in zip(speeds[name], speeds[other], strict=True))


def median(values: Sequence[float]) -> str:
    return (
        f"{statistics.median(values):,.0f}"
        if statistics.median(values) >= 10
        else f"{statistics.median(values):.2f}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def write(title: str, command: str, tables: Mapping[str, str]) -> Path:
    """Write tables with their headings into this machine's file for ``command``."""
    slug = re.sub(r"[^a-z0-9]+", "-", hardware().lower()).strip("-")
    path = (
        RESULTS
        / f"{command.split()[1].rsplit('/')[-1].removesuffix('.py').replace('_', '-')}-{slug}.md"
    )
    parts = [f"# {title}", f"`{command}`: {machine()}"]
    parts += [part for heading, text in tables.items() for part in (f"## {heading}", text)]
    RESULTS.mkdir(exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n")
    return path
