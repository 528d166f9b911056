"""What logging costs: python benchmarks/logging_cost.py

Two trainings of DCGAN at 32 pixels run side by side, one on each of two cores: one logs and draws
as `python train.py` does with a logger, the other has neither logger, image grids nor diagnosis.
They swap their cores after each round, and the median ratio of their seconds is the cost: trainings
one after the other differ by more than that on a shared machine. A second measure needs no other
training: the share of a training's own seconds that it spends in grids, diagnosis and loggers,
with the processor time of the processes that a logger starts.

W&B is offline, or sends to the server of WANDB_BASE_URL with --online.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

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
LEFT_OUT = ("progress", "evaluation", "checkpoints")
LOOKED_AT = ("samples", "doctor")


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


class Measured(NamedTuple):
    """Seconds of a training, of them within logging, and those of the helpers of loggers."""

    seconds: float
    inside: float
    helpers: float


def train(logger: str, steps: int) -> Measured:
    """Train with a logger, grids and diagnosis, or with ``none`` of them."""
    with tempfile.TemporaryDirectory() as folder:
        disabled = [*LEFT_OUT, *(LOOKED_AT if logger == "none" else ())]
        options = [f"logger={logger}", f"run_dir={folder}", f"trainer.max_steps={steps}"]
        options += [f"callbacks.{name}=null" for name in disabled]
        if logger != "none":
            options.append("callbacks.samples.every_images=12_000")  # as in the default run
        config = compose_overrides(["trainer=cpu", *options])
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
        return Measured(seconds, spent.seconds, started)


def start(logger: str, steps: int, core: int) -> subprocess.Popen[str]:
    """A process that trains on one core, and prints what it measured."""
    return subprocess.Popen(
        [sys.executable, __file__, "--one", logger, "--steps", str(steps)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )


def side_by_side(loggers: tuple[str, str], steps: int) -> list[Measured]:
    """Two trainings at the same time, the first on core 0, the second on core 1."""
    processes = [start(name, steps, core) for core, name in enumerate(loggers)]
    lines = [process.communicate()[0].splitlines()[-1] for process in processes]
    return [Measured(*json.loads(line)) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--logger", choices=LOGGERS[1:], action="append", help="these alone")
    parser.add_argument("--one", choices=LOGGERS, help="train here once, and print what it took")
    parser.add_argument(
        "--online", action="store_true", help="send to the server of WANDB_BASE_URL"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        warnings.filterwarnings("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        print(json.dumps(train(arguments.one, arguments.steps)))
        return
    os.environ["WANDB_MODE"] = "online" if arguments.online else "offline"

    # Medians over rounds, in which the two swap their cores.
    rows = []
    for name in arguments.logger or LOGGERS[1:]:
        ratios, found = [], []
        for number in range(arguments.rounds):
            swapped = number % 2 == 1
            pair = side_by_side((name, "none") if swapped else ("none", name), arguments.steps)
            plain, logged = reversed(pair) if swapped else pair
            print(name, plain, logged, flush=True)
            ratios.append(logged.seconds / plain.seconds)
            found.append(logged)
        seconds, inside, outside = (
            statistics.median(column) for column in zip(*found, strict=True)
        )
        shares = [100 * (each.inside + each.helpers) / each.seconds for each in found]
        row = [name, f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"]
        row += [f"{seconds:.0f}", f"{inside:.2f}", f"{outside:.2f}"]
        rows.append([*row, f"{statistics.median(shares):.2f} %"])
    header = ["logger", "ratio to none", "of the rounds", "seconds"]
    header += ["in logging", "of its helpers", "share"]
    result = table(header, rows)
    print(result)
    if arguments.write:
        options = " --online" * arguments.online
        command = f"python benchmarks/logging_cost.py --rounds {arguments.rounds} --steps {arguments.steps}{options}"
        print(write("Cost of logging", command, {"Seconds of a training": result}))


if __name__ == "__main__":
    main()
