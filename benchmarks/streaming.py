"""Packed images, streamed: python benchmarks/streaming.py

Packs synthetic JPEGs of 256 pixels and times batches of 64 images at 64 pixels without training:
seconds to the first batch, images/s and memory, by the number of worker processes. One process for
each measurement.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from measuring import median, table, write
from PIL import Image

PER_FOLDER = 1000
SIDE = 256
BATCH = 64
WAYS = {
    "image_folder, first start": ("image_folder", 0),
    "image_folder, again": ("image_folder", 0),
    "streaming": ("streaming", 0),
    "streaming, 1 worker": ("streaming", 1),
    "streaming, 2 workers": ("streaming", 2),
}


def make(folder: Path, first: int) -> None:
    """Images ``first`` and on: smooth colors with an edge and a little noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(first)
    for number in range(first, first + PER_FOLDER):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.paste(tuple(rng.integers(0, 256, 3).tolist()), (40, 40, 120, 200))
        noise = rng.integers(-8, 9, (SIDE, SIDE, 1))
        pixels = (np.asarray(image).astype(int) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:07}.jpg", quality=90)


def own_memory() -> float:
    """Memory of this process in MB that is not shared with files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 2**10


def packing(folder: Path, out: Path, jobs: int) -> tuple[float, float]:
    """Seconds to pack, and MB of shards."""
    from gan_zoo.data.files.pack import Encoding, pack

    start = time.perf_counter()
    packed = pack(folder, out, Encoding(), jobs)
    seconds = time.perf_counter() - start
    return seconds, sum(shard.bytes for shard in packed.manifest.shards) / 1e6


def reading(kind: str, root: str, workers: int, batches: int) -> tuple[float, float, float, float]:
    """Seconds to the first batch, images/s after it, and memory in MB: own, and peak of a worker."""
    import torch

    from gan_zoo.core.rng import StepRNG
    from gan_zoo.data.batch_order import BatchSampler
    from gan_zoo.data.datasets.image_folder import image_folder
    from gan_zoo.data.datasets.streaming import streaming
    from gan_zoo.data.files.shards import import_litdata
    from gan_zoo.data.loader import InfiniteLoader

    # Workers start as they do in training; imports are not part of the start.
    multiprocessing.set_start_method(None, force=True)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    import_litdata()
    start = time.perf_counter()
    source = (image_folder if kind == "image_folder" else streaming)(root, 3, 64)
    rng = StepRNG(0, 0)
    loader = InfiniteLoader(
        source,
        BatchSampler(source, BATCH, rng),
        rng,
        start=lambda: 0,
        flip=True,
        num_workers=workers,
        on_device=False,
    )
    stream = iter(loader)
    next(stream)
    first = time.perf_counter() - start

    # A part of an epoch.
    start = time.perf_counter()
    for _ in islice(stream, batches):
        pass
    speed = batches * BATCH / (time.perf_counter() - start)
    own = own_memory()
    stream.close()  # ends the workers
    return first, speed, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000, help="a multiple of 1,000")
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, action="append", help="these alone")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    jobs = len(os.sched_getaffinity(0))

    # A folder of images, packed, with a cache of its own for image_folder.
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GAN_ZOO_CACHE"] = f"{temporary}/cache"
        folder = Path(temporary, "images")
        out = Path(temporary, "packed")
        firsts = range(0, arguments.images, PER_FOLDER)
        with ProcessPoolExecutor(jobs, spawn) as pool:
            list(pool.map(make, [folder / f"{first:07}" for first in firsts], firsts))
        with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as pool:
            seconds, size = pool.submit(packing, folder, out, jobs).result()
            per_second = f"{arguments.images / seconds:,.0f}"
            row = [f"{arguments.images:,}", f"{size:,.0f}", str(jobs), f"{seconds:.1f}", per_second]
            packed = table(["images", "MB", "processes", "seconds", "images/s"], [row])
            print(packed, flush=True)

            # Reading, interleaved; the first start of image_folder fills its cache.
            found: dict[str, list[tuple[float, float, float, float]]]
            found = {way: [] for way in arguments.way or WAYS}
            for number in range(arguments.rounds):
                for way in found:
                    kind, workers = WAYS[way]
                    if way == "image_folder, first start" and number > 0:
                        continue
                    root = str(folder if kind == "image_folder" else out)
                    result = pool.submit(reading, kind, root, workers, arguments.batches).result()
                    found[way].append(result)
                    print(way, *(f"{value:,.2f}" for value in result), flush=True)

    # One row for each way.
    rows = []
    for way, results in found.items():
        first, speed, own, worker = ([result[place] for result in results] for place in range(4))
        rows.append(
            [
                way,
                f"{sorted(first)[len(first) // 2]:.2f}",
                median(speed),
                median(own),
                median(worker) if WAYS[way][1] else "",
            ]
        )
    read = table(["way", "first batch, s", "images/s", "MB", "peak of a worker, MB"], rows)
    print(read)
    if arguments.write:
        command = f"python benchmarks/streaming.py --images {arguments.images} --batches {arguments.batches} --rounds {arguments.rounds}"
        command += "".join(f" --way '{way}'" for way in arguments.way or ())
        print(write("Streamed images", command, {"Batches": read, "Packing": packed}))


if __name__ == "__main__":
    main()
