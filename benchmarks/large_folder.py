"""Training on a folder of many images: python benchmarks/large_folder.py

Makes folders of JPEGs of many sizes, and times decoding, starting again, batches alone, and DCGAN
at 64 pixels compared with the same training on a small dataset in memory. One process for each.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import median, ratio, table, write
from PIL import Image

PER_FOLDER = 1000
DCGAN = ["model=dcgan", "data=image_folder", "trainer=cpu", "data.image_size=64", "run_dir=/tmp"]
HELD = {"on the device": [], "through the loader": ["data.memory_limit=0"]}
HELD["through the loader and a worker"] = [*HELD["through the loader"], "data.num_workers=1"]


def make(folder: Path, first: int) -> None:
    """Images ``first`` and on: smooth colors with an edge, 80 to 120 pixels a side."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(first)
    for number in range(first, first + PER_FOLDER):
        height, width = rng.integers(80, 121, 2)
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC)
        image.paste(tuple(rng.integers(0, 256, 3).tolist()), (20, 20, 20 + int(width) // 3, 60))
        image.save(folder / f"{number:06}.jpg", quality=90)


def own_memory() -> float:
    """The private memory of this process in MB, without pages of mapped files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return (
        int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])
        / 2**10
    )


def reading(root: str) -> tuple[float, float, int]:
    """Seconds to make the folder's source, memory in MB without the mapped file, number of images."""
    from gan_zoo.data.datasets.image_folder import image_folder

    torch.rand(1)
    before = own_memory()
    start = time.perf_counter()
    source = image_folder(root, 3, 64)
    return time.perf_counter() - start, own_memory() - before, len(source)


def training(root: str, held: list[str], steps: int) -> tuple[float, float, float]:
    """Batches alone and training, in images/s, and memory in MB at the end."""
    from loops import train_gan_zoo

    from gan_zoo.config.compose import compose_overrides, instantiate
    from gan_zoo.core.rng import StepRNG
    from gan_zoo.data.batch_order import BatchSampler
    from gan_zoo.data.loader import InfiniteLoader

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    config: Any = compose_overrides([*DCGAN, f"data.root={root}", *held])
    source = instantiate(config.data.source)
    size = config.data.batch_size
    rng = StepRNG(0, 0)

    # Batches alone.
    sampler = BatchSampler(source, size, rng)
    options = {"num_workers": config.data.num_workers, "on_device": config.data.memory_limit > 0}
    batches = iter(InfiniteLoader(source, sampler, rng, start=lambda: 0, **options))
    next(batches)
    start = time.perf_counter()
    for _ in islice(batches, 200):
        pass
    alone = 200 * size / (time.perf_counter() - start)
    return alone, train_gan_zoo(config, source, 5, steps), own_memory()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=int, default=100_000, help="in the large folder, a multiple of 1,000"
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")

    # A large folder and a small one, in a cache of their own.
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GAN_ZOO_CACHE"] = f"{temporary}/cache"
        large = Path(temporary, "large")
        small = Path(temporary, "small")
        firsts = range(0, arguments.images, PER_FOLDER)
        with ProcessPoolExecutor(mp_context=spawn) as pool:
            list(pool.map(make, [large / f"{first:06}" for first in firsts], firsts))
        make(small / "a", 0)

        # Decoding, and starting again.
        with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as pool:
            start_rows = []
            for root in (small, large):
                for when in ("first", "again"):
                    seconds, memory, count = pool.submit(reading, str(root)).result()
                    start_rows.append(
                        [
                            f"{count:,}",
                            when,
                            f"{seconds:.2f}",
                            f"{count / seconds:,.0f}",
                            f"{memory:.0f}",
                        ]
                    )
            starts = table(["images", "start", "seconds", "images/s", "MB"], start_rows)
            print(starts, flush=True)

            # Training, interleaved.
            jobs = {"small, on the device": (str(small), HELD["on the device"])}
            jobs |= {f"large, {name}": (str(large), held) for name, held in HELD.items()}
            found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in jobs}
            for _ in range(arguments.rounds):
                for name, (root, held) in jobs.items():
                    found[name].append(pool.submit(training, root, held, arguments.steps).result())
                    print(name, *(f"{value:,.0f}" for value in found[name][-1]), flush=True)

    # One row for each way.
    speeds = {name: [speed for _, speed, _ in rows] for name, rows in found.items()}
    rows = []
    for name, results in found.items():
        alone, _, memory = ([result[place] for result in results] for place in range(3))
        against = f"{ratio(speeds, name, next(iter(jobs))):.2f}"
        rows.append([name, median(alone), median(speeds[name]), against, median(memory)])
    trained = table(
        ["folder", "batches alone, images/s", "DCGAN 64, images/s", "/ small", "MB"], rows
    )
    print(trained)
    if arguments.write:
        command = f"python benchmarks/large_folder.py --images {arguments.images} --rounds {arguments.rounds}"
        print(write("A large folder", command, {"Start": starts, "Training": trained}))


if __name__ == "__main__":
    main()
