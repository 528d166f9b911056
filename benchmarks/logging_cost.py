"""What logging costs: python benchmarks/logging_cost.py

Trains DCGAN at 32 pixels, as `python train.py` does, and adds up the seconds that the process spends
in what writes image grids and diagnoses, and in its loggers, and the processor time of the
processes that a logger starts up to the end of training. The share of the training's own seconds is the cost: times of two
trainings on a shared machine differ by more than that.

W&B is offline, or sends to the server of WANDB_BASE_URL with --online.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import psutil
from measuring import table, write

from gan_zoo.callbacks.diagnostics import Doctor
from gan_zoo.callbacks.sample_grid import SampleGrid
from gan_zoo.config.build import build
from gan_zoo.config.compose import compose_overrides
from gan_zoo.loggers.dispatch import finish_loggers, log_config, log_directions

LOGGERS = ("none", "csv", "tensorboard", "wandb")
WATCHED = ("on_train_start", "on_train_batch_start", "on_train_batch_end", "on_train_end")
WRITTEN = ("log_metrics", "log_image", "save")
EVALUATION = [f"callbacks.{name}=null" for name in ("progress", "evaluation", "checkpoints")]


class Spent:
    """Seconds within the methods of some objects; a call within another one counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.running = False

    def watch(self, owner: Any, names: tuple[str, ...]) -> None:
        """Count the calls of the methods ``names`` of ``owner``, if it has them."""
        for name in names:
            if hasattr(owner, name):
                setattr(owner, name, self.counted(getattr(owner, name)))

    def counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.running:
                return method(*arguments, **options)
            self.running = True
            start = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - start
                self.running = False

        return call


def helpers() -> float:
    """Processor seconds of the processes that this one has started."""
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:  # it has ended
            continue
        total += times.user + times.system
    return total


def train(logger: str, steps: int) -> tuple[float, float, float]:
    """Seconds of a training, of them within logging, and those of the helpers of loggers."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f"logger={logger}", f"run_dir={folder}", f"trainer.max_steps={steps}"]
        config = compose_overrides(["trainer=cpu", *EVALUATION, *options])
        trainer, module, data = build(config)

        # Everything that exists to be looked at.
        spent = Spent()
        for callback in trainer.callbacks:
            if isinstance(callback, Doctor | SampleGrid):
                spent.watch(callback, WATCHED)
        for each in trainer.loggers:
            spent.watch(each, WRITTEN)

        # Starting a logger does not grow with training, and is not counted.
        if trainer.loggers:
            log_config(trainer, {"model": "dcgan"})
            log_directions(trainer, {})
        before = helpers()
        start = time.perf_counter()
        trainer.fit(module, datamodule=data)
        seconds = time.perf_counter() - start
        started = helpers() - before
        spent.counted(finish_loggers)(trainer, failed=False)
        return seconds, spent.seconds, started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1900, help="those of the default run")
    parser.add_argument("--logger", choices=LOGGERS, action="append", help="these alone")
    parser.add_argument(
        "--online", action="store_true", help="send to the server of WANDB_BASE_URL"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    os.environ["WANDB_MODE"] = "online" if arguments.online else "offline"

    # Medians over rounds.
    rows = []
    for name in arguments.logger or LOGGERS:
        found = [train(name, arguments.steps) for _ in range(arguments.rounds)]
        seconds, inside, outside = (
            statistics.median(column) for column in zip(*found, strict=True)
        )
        shares = [100 * (spent + started) / total for total, spent, started in found]
        row = [name, f"{seconds:.0f}", f"{inside:.2f}", f"{outside:.2f}"]
        rows.append([*row, f"{statistics.median(shares):.2f} %"])
        print(rows[-1], flush=True)
    header = ["logger", "seconds", "in logging", "of its helpers", "share"]
    result = table(header, rows)
    print(result)
    if arguments.write:
        options = " --online" * arguments.online
        command = f"python benchmarks/logging_cost.py --rounds {arguments.rounds} --steps {arguments.steps}{options}"
        print(write("Cost of logging", command, {"Seconds of a training": result}))


if __name__ == "__main__":
    main()
