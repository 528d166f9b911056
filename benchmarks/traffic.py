"""Communication of two processes: python benchmarks/traffic.py

The same DCGAN on two processes (gloo on the CPU, NCCL with two GPUs), interleaved: gradients
averaged once for each optimizer step, Lightning's `find_unused_parameters`, and no exchange at all,
as a bound; compared with one process with all cores, or one GPU. Elements are those that one
process sends for each batch.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import statistics
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from lightning.pytorch.strategies import DDPStrategy
from measuring import interleaved, median, ratio, table, write

from gan_zoo.training.strategy import FlatDDPStrategy

SIZES = {"32": ["data.image_size=32"], "64": ["data.image_size=64"]}
FLAT, WRAPPED, APART = (
    "two, one flat all-reduce a step",
    "two, `find_unused_parameters`",
    "two, no exchange",
)
ALONE = "one process, all cores"
WAYS = (FLAT, WRAPPED, APART, ALONE)
DCGAN = ["model=dcgan", "data=openmoji", "callbacks=none", "metric=none", "run_dir=/tmp"]


class Sent:
    """Counts the elements of all-reduce."""

    def __init__(self) -> None:
        self.elements = 0
        self.plain = dist.all_reduce

    def all_reduce(self, tensor: torch.Tensor, *args: Any, **options: Any) -> Any:
        self.elements += tensor.numel()
        return self.plain(tensor, *args, **options)

    def hook(self, _, bucket):  # type: ignore[no-untyped-def]  # the reducer rejects annotations that are strings
        """The reducer's own all-reduce, counted."""
        flat = bucket.buffer()
        self.elements += flat.numel()
        work = self.plain(flat.div_(dist.get_world_size()), async_op=True)
        return work.get_future().then(lambda future: future.value()[0])


class FindUnused(FlatDDPStrategy):
    """Lightning's wrapper with counted elements, pinned to cores like that of gan_zoo."""

    def __init__(self, sent: Sent, **options: Any) -> None:
        super().__init__(find_unused_parameters=True, **options)
        self.sent = sent

    def configure_ddp(self) -> None:
        DDPStrategy.configure_ddp(self)
        self.model.register_comm_hook(None, self.sent.hook)


def worker(rank: int, port: int, way: str, overrides: list[str], steps: int, folder: str) -> None:
    """Train and write images/s of both processes and elements of a batch."""
    from loops import Stopwatch, train_gan_zoo

    import gan_zoo.training.updater
    from gan_zoo.config.compose import compose_overrides, instantiate

    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
    }
    cuda = torch.cuda.device_count() > 1

    # Count the elements of all-reduce.
    config: Any = compose_overrides([*DCGAN, "trainer=auto", *overrides])
    source = instantiate(config.data.source)
    sent = Sent()
    dist.all_reduce = sent.all_reduce

    # The strategy of this way.
    options: dict[str, Any] = {"accelerator": "gpu" if cuda else "cpu", "callbacks": [Stopwatch(5)]}
    if way != ALONE:
        if not cuda:
            os.environ["GLOO_SOCKET_IFNAME"] = "lo"
            torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
        backend = {"process_group_backend": "nccl" if cuda else "gloo"}
        options["devices"] = 2
        options["strategy"] = (
            FindUnused(sent, **backend) if way == WRAPPED else FlatDDPStrategy(**backend)
        )
        if way != FLAT:
            gan_zoo.training.updater.average_gradients = lambda parameters, statistics: None

    # Train; the first process reports.
    speed = train_gan_zoo(config, source, 5, steps, **options)
    if rank == 0:
        Path(folder, "result").write_text(
            f"{speed} {sent.elements / (steps + 5)}", encoding="utf-8"
        )
    if way != ALONE:
        dist.barrier()
        dist.destroy_process_group()


def measure(way: str, overrides: list[str], steps: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        multiprocessing.spawn(
            worker, (port, way, overrides, steps, folder), nprocs=1 if way == ALONE else 2
        )
        speed, elements = map(float, Path(folder, "result").read_text(encoding="utf-8").split())
    return speed, elements


def weights(overrides: list[str]) -> list[int]:
    """Numbers of weights of the generator and of the discriminator."""
    from gan_zoo.config.build import build_module
    from gan_zoo.config.compose import compose_overrides

    model = build_module(compose_overrides([*DCGAN, *overrides])).model
    return [
        sum(p.numel() for p in networks.parameters())
        for networks in (model.generators, model.discriminators)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    # Both sizes, all ways interleaved.
    tables = {}
    for size, overrides in SIZES.items():
        elements: dict[str, float] = {}

        def speed(
            way: str, overrides: list[str] = overrides, elements: dict[str, float] = elements
        ) -> float:
            speed, elements[way] = measure(way, overrides, arguments.steps)
            print(f"{way}: {speed:,.0f} images/s, {elements[way]:,.0f} elements", flush=True)
            return speed

        speeds = interleaved({way: partial(speed, way) for way in WAYS}, arguments.rounds)

        # One row for each way.
        batch = 64
        rows = [
            [
                way,
                f"{elements[way]:,.0f}",
                f"{1000 * batch / statistics.median(speeds[way]):.1f}",
                median(speeds[way]),
                f"{ratio(speeds, way, ALONE):.2f}",
            ]
            for way in WAYS
        ]
        generator, discriminator = weights(overrides)
        heading = f"DCGAN at {size} pixels, {generator:,} weights of the generator and {discriminator:,} of the discriminator"
        tables[heading] = table(
            ["processes", "elements a batch", "ms a batch", "images/s", "/ one process"], rows
        )
        print(tables[heading])
    if arguments.write:
        command = (
            f"python benchmarks/traffic.py --rounds {arguments.rounds} --steps {arguments.steps}"
        )
        print(write("Traffic between two processes", command, tables))


if __name__ == "__main__":
    main()
