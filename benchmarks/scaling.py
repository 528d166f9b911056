"""Scaling of training and evaluation: python benchmarks/scaling.py

DCGAN's training over image size, batch and width; seconds and memory of the default metric over the
number of samples; two processes with one core each compared with one process with two, interleaved.
`--write` writes this machine's tables into benchmarks/results/, and the curves as an image.
"""

from __future__ import annotations

import argparse
import csv
import logging
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from measuring import interleaved, median, peak_memory, ratio, table, write

DCGAN = ["model=dcgan", "data=openmoji", "trainer=cpu", "run_dir=/tmp"]
SWEEPS = {
    "image size": [("data.image_size", value) for value in (16, 32, 64, 128)],
    "batch": [("data.batch_size", value) for value in (16, 32, 64, 128, 256)],
    "width": [(("generator.width", "discriminator.width"), value) for value in (8, 16, 32, 64)],
}
SAMPLES = (250, 500, 1000, 2000)
QUIET = [
    "callbacks=none",
    "metric=none",
    "trainer.log_every_n_steps=20",
    "model=dcgan",
    "data.image_size=32",
]


def training(job: tuple[Any, int, float]) -> float:
    """Images/s with one setting changed."""
    from loops import train_gan_zoo

    from gan_zoo.config.compose import compose_overrides, instantiate

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    names, value, seconds = job
    names = (names,) if isinstance(names, str) else names
    config = compose_overrides([*DCGAN, *(f"{name}={value}" for name in names)])
    source = instantiate(config.data.source)
    guess = train_gan_zoo(config, source, 2, 4)
    return train_gan_zoo(config, source, 3, max(4, int(seconds * guess / config.data.batch_size)))


def scoring(count: int) -> tuple[float, float]:
    """Seconds of one evaluation of an untrained DCGAN with ``count`` samples, and the process's memory in MB."""
    from gan_zoo.config.build import build_module
    from gan_zoo.config.compose import compose_overrides, instantiate
    from gan_zoo.training.scoring import evaluate_generator

    config = compose_overrides(DCGAN)
    module = build_module(config).eval()
    source = instantiate(config.data.source)
    evaluators = {name: instantiate(node) for name, node in config.metric.items()}
    for evaluator in evaluators.values():
        evaluator.num_samples = 16
    evaluate_generator(
        module, source, evaluators, 0
    )  # the reals' statistics are cached from now on
    for evaluator in evaluators.values():
        evaluator.num_samples = count
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        evaluate_generator(module, source, evaluators, 0)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), peak_memory()


def processes(trainer: str, steps: int) -> float:
    """Images/s of a complete run with this trainer, without its first log steps."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(Path(__file__).parents[1] / "train.py"),
            *QUIET,
            f"trainer={trainer}",
        ]
        command += [f"trainer.max_steps={steps}", f"run_dir={folder}"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        with (Path(folder) / "metrics.csv").open() as file:
            rows = [float(row["train/images_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(rows[2:])


def plot(curves: dict[str, tuple[list[int], list[float], str]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    # One axis for each curve.
    figure, axes = pyplot.subplots(
        1, len(curves), figsize=(3.2 * len(curves), 2.8), layout="constrained"
    )
    for axis, (name, (xs, ys, unit)) in zip(axes, curves.items(), strict=True):
        axis.plot(xs, ys, "o-")
        axis.set_xscale("log")
        if max(ys) > 20 * min(ys):
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.1 * max(ys))
        axis.set(xlabel=name, ylabel=unit)
        axis.set_xticks(xs, [str(x) for x in xs])
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison of processes")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of each point of a curve, about"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    # Each point in its own process.
    tables: dict[str, str] = {}
    curves: dict[str, tuple[list[int], list[float], str]] = {}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name, points in SWEEPS.items():
            values = [value for _, value in points]
            speeds = [
                pool.apply(training, ((key, value, arguments.seconds),)) for key, value in points
            ]
            curves[name] = values, speeds, "images/s"
            tables[f"Training over {name}"] = table(
                [name, "images/s"],
                [[str(v), median([s])] for v, s in zip(values, speeds, strict=True)],
            )
            print(tables[f"Training over {name}"], flush=True)
        costs = [pool.apply(scoring, (count,)) for count in SAMPLES]
    curves["samples"] = list(SAMPLES), [seconds for seconds, _ in costs], "seconds of a score"
    tables["The default score over the number of samples"] = table(
        ["samples", "seconds", "peak MB"],
        [[str(n), f"{s:.1f}", f"{m:,.0f}"] for n, (s, m) in zip(SAMPLES, costs, strict=True)],
    )
    print(tables["The default score over the number of samples"], flush=True)

    # One process or two.
    speeds_of = interleaved(
        {name: partial(processes, name, 200) for name in ("cpu", "ddp_cpu")}, arguments.rounds
    )
    rows = [[f"`trainer={name}`", median(values)] for name, values in speeds_of.items()]
    rows.append(["two processes / one", f"{ratio(speeds_of, 'ddp_cpu', 'cpu'):.2f}"])
    tables["One process with two cores, two with one each"] = table(["", "images/s"], rows)
    print(tables["One process with two cores, two with one each"])

    # Results of this machine.
    if arguments.write:
        command = f"python benchmarks/scaling.py --rounds {arguments.rounds} --seconds {arguments.seconds:g}"
        path = write("Scaling", command, tables)
        plot(curves, path.with_suffix(".png"))
        path.write_text(f"{path.read_text()}\n![The curves]({path.with_suffix('.png').name})\n")
        print(path)


if __name__ == "__main__":
    main()
