"""Images/s and peak memory of every loss and every model: python benchmarks/zoo_speed.py

Every loss trains DCGAN at 32 pixels, with everything that its preset sets (regularizers, optimizer,
discriminator steps); every model trains with its own networks and data at their defaults and
batches of 32. Each one has its own process, whose peak memory is reported; rows are interleaved. An
image counts once, however often a loss uses it; discriminator steps are included. `--write` writes
this machine's table into benchmarks/results/.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import statistics
import warnings
from pathlib import Path
from typing import Any

from measuring import median, peak_memory, table, write

CONF = Path(__file__).parents[1] / "conf"
DCGAN = ["model=dcgan", "data=openmoji"]
NEEDS = {  # required by a choice
    "loss=began": ["discriminator=autoencoder"],
    "loss=ebgan": ["discriminator=autoencoder"],
    "model=acgan": ["data=digits", "data.image_size=32"],
    "model=cgan": ["data=openmoji_captions"],
    "model=cgan_single": ["data=digits", "data.image_size=32"],
    "model=infogan": ["data=digits", "data.image_size=32"],
}


def names(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def overrides_of(choice: str) -> list[str]:
    """The command of one row, batches of 32 for models and of 64 for losses."""
    base = DCGAN if choice.startswith("loss=") else ["data.batch_size=32"]
    return [*base, choice, *NEEDS.get(choice, [])]


def measure(job: tuple[str, float]) -> dict[str, Any]:
    """One row, measured in a fresh process: the speed, and the memory at its largest in MB."""
    import torch
    from loops import train_gan_zoo

    from gan_zoo.config.compose import compose_overrides, instantiate

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    choice, seconds = job
    where = "auto" if torch.cuda.is_available() else "cpu"
    config = compose_overrides([*overrides_of(choice), f"trainer={where}", "run_dir=/tmp"])
    source = instantiate(config.data.source)
    guess = train_gan_zoo(config, source, 5, 10)
    period = (
        config.loss.n_critic * 16 if choice.startswith("loss=") else 1
    )  # a complete period of lazy penalties
    steps = max(10, int(seconds * guess / config.data.batch_size))
    speed = train_gan_zoo(config, source, 5, -(-steps // period) * period)
    return {
        "choice": choice,
        "speed": speed,
        "memory": peak_memory(),
        "n_critic": config.loss.n_critic,
    }


def rows_of(results: list[dict[str, Any]], choices: list[str], reference: str) -> list[list[str]]:
    """The table's rows, the fastest first."""
    mine = {c: [r for r in results if r["choice"] == c] for c in choices}
    speeds = {choice: [row["speed"] for row in found] for choice, found in mine.items()}

    # Sorted by speed.
    base = statistics.median(speeds[reference]) if reference in speeds else float("nan")
    return [
        [
            f"`{choice}`",
            str(mine[choice][0]["n_critic"]),
            median(speeds[choice]),
            f"{statistics.median(speeds[choice]) / base:.2f}",
            median([row["memory"] for row in mine[choice]]),
        ]
        for choice in sorted(choices, key=lambda choice: -statistics.median(speeds[choice]))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of each row in each round, about"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    # Each row in its own process.
    groups = {
        f"{group}=": [f"{group}={name}" for name in names(group)] for group in ("loss", "model")
    }
    choices = [choice for group in groups.values() for choice in group]
    results = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        jobs = [(choice, arguments.seconds) for _ in range(arguments.rounds) for choice in choices]
        for result in pool.imap(measure, jobs):
            results.append(result)
            print(
                f"{result['choice']:24} {result['speed']:8.0f} images/s {result['memory']:6.0f} MB",
                flush=True,
            )

    # A table for losses and one for models.
    tables = {}
    for (group, mine), reference in zip(
        groups.items(), ("loss=nonsaturating", "model=dcgan"), strict=True
    ):
        header = [f"`{group}`", "discriminator steps", "images/s", f"/ `{reference}`", "peak MB"]
        tables[f"Every `{group}`"] = table(header, rows_of(results, mine, reference))
        print(tables[f"Every `{group}`"])
    if arguments.write:
        command = f"python benchmarks/zoo_speed.py --rounds {arguments.rounds} --seconds {arguments.seconds:g}"
        print(write("Every loss, every model", command, tables))


if __name__ == "__main__":
    main()
