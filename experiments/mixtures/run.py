"""Every loss on the ring of 8 and the grid of 25 Gaussians: python experiments/mixtures/run.py

One recipe for all losses; only the loss and the settings of its preset differ. Runs in
results.jsonl are not repeated. Writes results.jsonl, the table in README.md, and grid.png.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.jsonl"

RECIPE = ["experiment=mixtures", "trainer=cpu"]
STEPS = {"ring": 4000, "grid": 9000}
ENCODER = ["metric=modes", "generator=mlp", "discriminator=mlp", "+model.encoder.width=128"]
SLOW = ["optim.discriminator.lr=1e-4"]  # as in the unrolled GAN's own experiment
LOSSES: dict[str, list[str]] = {
    "nonsaturating": [],
    "lsgan": [],
    "hinge": [],
    "wgan": [],
    "wgan_gp": [
        "regularizer.gradient_penalty.weight=0.1"
    ],  # as the WGAN-GP paper's own 2-D experiments
    "dragan": ["regularizer.dragan.weight=1"],
    "fisher": [],
    "loss_sensitive": [],
    "ebgan": ["discriminator.width=32"],  # times 4: hidden layers of 128 units, as everywhere
    "ragan": [],
    "rpgan": [],
    "r3gan": ["regularizer.r1.gamma=0.02", "regularizer.r2.gamma=0.02"],
    "r3gan, twice as long": ["regularizer.r1.gamma=0.02", "regularizer.r2.gamma=0.02"],
    "minimax": [],
    "minimax, slow, a third as long": SLOW,
    "minimax, slow and unrolled 5, a third as long": [*SLOW, "loss.unroll=5"],
    "nonsaturating, packs of 2": ["pack=2"],
    "reverse_kl, veegan": ["model=veegan", "encoder@model.encoder=mlp", *ENCODER],
    "wgan_gp, cluster_gan": [
        *("model=cluster_gan", "encoder@model.encoder=mlp", *ENCODER),
        *("model.categories=25", "regularizer.gradient_penalty.weight=0.1"),
    ],
}
QUIET = [
    "callbacks.progress=null",
    "callbacks.samples=null",
    "callbacks.checkpoints=null",
    "logger=none",
]
QUIET += ["callbacks.evaluation.every_images=0"]

# PacGAN (Lin et al. 2018), table 1, means of 10 runs: modes, high quality, reverse KL.
PUBLISHED = {
    "ring": [("GAN", "6.3", "98.2 %", "0.45"), ("PacGAN2", "7.9", "95.6 %", "0.07")],
    "grid": [("GAN", "17.3", "94.8 %", "0.70"), ("PacGAN4", "24.8", "93.6 %", "0.04")],
}


def train_one(job: tuple[str, str, int]) -> dict[str, Any]:
    """Train one loss on one mixture with one seed on one core; failed runs have the reason."""
    warnings.filterwarnings("ignore")
    import torch
    from hydra import compose, initialize_config_dir

    from gan_zoo.callbacks.evaluation import Evaluation
    from gan_zoo.config.build import build
    from gan_zoo.core.errors import TrainingDiverged
    from gan_zoo.core.paths import CONF

    # The run's command.
    torch.set_num_threads(1)
    data, loss, seed = job
    started = time.perf_counter()
    result: dict[str, Any] = {"data": data, "loss": loss, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        steps = STEPS[data] * (2 if "twice" in loss else 1) // (3 if "third" in loss else 1)
        overrides = [*RECIPE, *QUIET, f"data={data}", f"loss={loss.split(',')[0]}", f"seed={seed}"]
        overrides += [f"trainer.max_steps={steps}", f"run_dir={folder}"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", overrides + LOSSES[loss])

        # Train and evaluate.
        trainer, module, datamodule = build(config)
        try:
            trainer.fit(module, datamodule=datamodule)
        except TrainingDiverged as error:
            return result | {"failed": str(error)}
        (evaluation,) = [
            callback for callback in trainer.callbacks if isinstance(callback, Evaluation)
        ]
        result |= {score.name: score.value for score in evaluation.scores}
        if data == "grid" and seed == 0:
            result["points"] = _points(module)
    return result | {"seconds": round(time.perf_counter() - started, 1)}


def _points(module: Any) -> list[list[float]]:
    from gan_zoo.core.rng import StepRNG
    from gan_zoo.core.types import SampleRequest

    samples = module.sample(SampleRequest(500, StepRNG(0, 0)))
    return [[round(x, 2), round(y, 2)] for x, y in samples.tolist()]


def finished() -> list[dict[str, Any]]:
    """The runs in results.jsonl."""
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def mean_std(values: list[float], digits: int) -> str:
    """Mean and standard deviation over seeds; the value alone for a single one."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.mean(values):.{digits}f} +- {statistics.stdev(values):.{digits}f}"


def table(data: str, runs: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds for every loss, the best reverse KL first, then the published rows."""
    # One row for each loss.
    lines = [
        "| loss | runs | failed | modes | high quality % | reverse KL |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = []
    for loss in LOSSES:
        mine = [run for run in runs if run["data"] == data and run["loss"] == loss]
        good = [run for run in mine if "failed" not in run]
        if not good:
            continue
        modes = mean_std([run["modes"] for run in good], 1)
        quality = mean_std([100 * run["high_quality"] for run in good], 1)
        kl = [run["reverse_kl"] for run in good]
        row = f"| `{loss}` | {len(mine)} | {len(mine) - len(good)} | {modes} | {quality} | {mean_std(kl, 3)} |"
        rows.append((statistics.mean(kl), row))

    # The best first, then the published ones.
    lines += [row for _, row in sorted(rows)]
    lines += [
        f"| {name} (PacGAN table 1) | 10 |  | {m} | {q} | {kl} |"
        for name, m, q, kl in PUBLISHED[data]
    ]
    return "\n".join(lines)


def plot(runs: list[dict[str, Any]]) -> None:
    """Draw the samples of every loss on the grid, seed 0, next to each other."""
    from PIL import Image, ImageDraw

    # Runs with samples, in the order of the losses.
    shown = [run for loss in LOSSES for run in runs if run["loss"] == loss and "points" in run]
    side, columns = 150, 8
    rows = -(-len(shown) // columns)
    image = Image.new("RGB", (columns * side, rows * (side + 14)), "white")

    # One panel for each, with one dot for each sample.
    pen = ImageDraw.Draw(image)
    for place, run in enumerate(shown):
        left, top = place % columns * side, place // columns * (side + 14)
        pen.text((left + 4, top + 1), run["loss"], fill="black")
        for x, y in run["points"]:
            if max(abs(x), abs(y)) < 5.5:
                px, py = left + (x / 5.5 + 1) / 2 * side, top + 14 + (1 - y / 5.5) / 2 * side
                pen.ellipse((px - 1, py - 1, px + 1, py + 1), fill=(200, 30, 60))
    image.save(HERE / "grid.png")


def write_readme(runs: list[dict[str, Any]]) -> None:
    """Write the tables between the markers of README.md."""
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition("<!-- tables -->")
    _, _, after = rest.partition("<!-- end -->")
    tables = "\n\n".join(f"### `data={data}`\n\n{table(data, runs)}" for data in STEPS)
    readme.write_text(f"{before}<!-- tables -->\n\n{tables}\n\n<!-- end -->{after}")


def main() -> None:
    """Run what is missing, then write the tables and the image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--loss", choices=LOSSES, action="append", help="these rows alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    # Jobs without a result, the slowest first.
    done = {(run["data"], run["loss"], run["seed"]) for run in finished()}
    jobs = [
        (data, loss, seed)
        for seed in range(arguments.seeds)
        for data in STEPS
        for loss in arguments.loss or LOSSES
    ]
    jobs = sorted((job for job in jobs if job not in done), key=lambda job: "r3gan" not in job[1])

    # Each run in its own process.
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        for number, run in enumerate(pool.imap_unordered(train_one, jobs), start=1):
            with RESULTS.open("a") as file:
                file.write(json.dumps(run) + "\n")
            shown = {key: value for key, value in run.items() if key != "points"}
            print(f"{number}/{len(jobs)} {time.perf_counter() - started:.0f} s {shown}", flush=True)
        pool.close()
        pool.join()

    # Tables and image.
    runs = finished()
    write_readme(runs)
    plot(runs)


if __name__ == "__main__":
    main()
