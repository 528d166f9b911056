"""Random batches from a memory-mapped cache on disk: page faults or read-ahead.

    python benchmarks/cold_reads.py [--images 20000] [--size 128]

Needs root to empty the system's cache of files between the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gan_zoo.data.files.cache import cached_images, read_ahead


def images_per_second(
    images: torch.Tensor, batches: list[torch.Tensor], ahead: Callable[..., None]
) -> float:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3", encoding="utf-8")
    start = time.perf_counter()
    for rows in batches:
        ahead(images, rows)
        images.index_select(0, rows)
    return sum(map(len, batches)) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    # A cache of random images.
    shape = (options.images, 3, options.size, options.size)
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        path = Path(folder) / "x.npy"

        def fill(array: np.ndarray) -> None:
            rng = np.random.default_rng(0)
            for start in range(0, len(array), 500):
                piece = array[start : start + 500]
                piece[:] = rng.integers(0, 256, piece.shape, dtype=np.uint8)

        images = cached_images(path, shape, fill)

        # Both ways read the same batches.
        ways = {"page faults": lambda *_: None, "read ahead": read_ahead}
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(options.rounds):
            generator = torch.Generator().manual_seed(number)
            batches = list(
                torch.randperm(options.images, generator=generator)[: 64 * options.batches].split(
                    64
                )
            )
            for name, ahead in ways.items():
                found[name].append(images_per_second(images, batches, ahead))
        for name, speeds in found.items():
            print(
                f"{name}: {statistics.median(speeds):,.0f} images/s (from {min(speeds):,.0f} to {max(speeds):,.0f})"
            )


if __name__ == "__main__":
    main()
