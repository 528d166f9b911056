"""What it costs that nothing is lost and that failures are named: python benchmarks/guard_cost.py

The same training three times, interleaved: `bare` looks at nothing; `safe` looks at every term and gradient before a
player steps, compares signals after every batch and writes checkpoints at the default rate; `watched` lets the doctor
look at its default rate. Ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from loops import Stopwatch, train_gan_zoo
from measuring import interleaved, median, ratio, table, write
from train_speed import CASES

from gan_zoo.callbacks.checkpoints import Checkpoints
from gan_zoo.callbacks.diagnostics import Doctor
from gan_zoo.callbacks.interruption import Interruption
from gan_zoo.config.compose import compose_overrides, instantiate
from gan_zoo.core.signals import SIGNALS
from gan_zoo.data.dataset import Source
from gan_zoo.training import updater
from gan_zoo.training.divergence import DivergenceDetector
from gan_zoo.training.trainer import AtomicCheckpointIO

KINDS = ("bare", "safe", "watched")


@contextmanager
def blind() -> Iterator[None]:
    """No look at terms and gradients."""
    nothing, honest = torch.zeros(()), (updater.gradient_norm, DivergenceDetector.check)
    updater.gradient_norm, DivergenceDetector.check = (
        lambda parameters: nothing,
        lambda *arguments: None,
    )
    try:
        yield
    finally:
        updater.gradient_norm, DivergenceDetector.check = honest


def speed(kind: str, config: Any, source: Source, steps: int) -> float:
    """Images/s of at least one period of the checkpoints and looks."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SIGNALS.handlers_restored(),
        nullcontext() if kind == "safe" else blind(),
    ):
        watch = Stopwatch(10)
        extra = {
            "bare": [],
            "safe": [
                Interruption(),
                Checkpoints(folder, config.callbacks.checkpoints.every_images),
            ],
            "watched": [Doctor(config.callbacks.doctor.every_images)],
        }[kind]
        options = {"plugins": [AtomicCheckpointIO()], "enable_checkpointing": kind == "safe"}
        return train_gan_zoo(config, source, 10, steps, callbacks=[watch, *extra], **options)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--images", type=int, default=16_000, help="of each run: a period of the looks"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = []
    for case in ("DCGAN 32", "MLP ring"):
        config = compose_overrides([*CASES[case][1], "trainer=cpu", "run_dir=/tmp"])
        source = instantiate(config.data.source)
        images = arguments.images * (8 if "ring" in case else 1)
        steps = images // config.data.batch_size + 1
        runs = {kind: partial(speed, kind, config, source, steps) for kind in KINDS}
        speeds = interleaved(runs, arguments.rounds)
        ratios = (f"{ratio(speeds, kind, 'bare'):.3f}" for kind in KINDS[1:])
        rows.append([case, *(median(speeds[kind]) for kind in KINDS), *ratios])
        print("  ".join(rows[-1]), flush=True)
    result = table(["case", *KINDS, "safe / bare", "watched / bare"], rows)
    if arguments.write:
        command = f"python benchmarks/guard_cost.py --rounds {arguments.rounds}"
        print(write("Overhead of checkpoints and diagnostics", command, {"Images/s": result}))


if __name__ == "__main__":
    main()
