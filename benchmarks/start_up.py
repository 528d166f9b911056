"""Start-up time: python benchmarks/start_up.py

Complete commands, as a user types them, and the first training step on `digits`; medians of several
runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import table, write

TRAIN = str(Path(__file__).parents[1] / "train.py")
FIRST_STEP = ["data=digits", "trainer=cpu", "trainer.max_steps=1", "callbacks=none", "metric=none"]
LEAVE = """
import os, runpy, sys
from gan_zoo.training.module import GANModule
step = GANModule.training_step
GANModule.training_step = lambda *batch: (step(*batch), os._exit(0))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a command until its first step is done."""
COMMANDS = {
    "`python train.py --help`": [sys.executable, TRAIN, "--help"],
    "`python train.py --cfg job`": [sys.executable, TRAIN, "--cfg", "job"],
    "`gan-zoo --help`": [sys.executable, "-m", "gan_zoo.cli.app", "--help"],
    "`python -c 'import gan_zoo'`": [sys.executable, "-c", "import gan_zoo"],
    "training on `digits`, from command to the end of the first step": [
        sys.executable,
        "-c",
        LEAVE,
        TRAIN,
        *FIRST_STEP,
    ],
    "one step on `digits`, from command to exit": [sys.executable, TRAIN, *FIRST_STEP],
}


def seconds_of(command: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            env={**os.environ, "COLUMNS": "120"},
        )
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for name, command in COMMANDS.items():  # the first run, which reads from disk, does not count
        seconds_of(command)
        times[name] = [seconds_of(command) for _ in range(arguments.rounds)]
        print(f"{name:65} {statistics.median(times[name]):.2f} s", flush=True)
    rows = [
        [name, f"{statistics.median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}"]
        for name, values in times.items()
    ]
    if arguments.write:
        command = f"python benchmarks/start_up.py --rounds {arguments.rounds}"
        print(
            write(
                "Start-up time", command, {"Seconds": table(["command", "median", "range"], rows)}
            )
        )


if __name__ == "__main__":
    main()
