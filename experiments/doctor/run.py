"""Runs with induced failures, and healthy ones, for the diagnostics: python experiments/doctor/run.py

Every case is trained with several seeds; findings at any time of a run count. Writes results.jsonl
with all values, and the table in README.md. Existing runs are not repeated; with `--seeds 0` the
existing values are diagnosed again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

QUIET = [
    "trainer=cpu",
    "callbacks.progress=null",
    "callbacks.samples=null",
    "callbacks.evaluation=null",
]
QUIET += [
    "callbacks.checkpoints=null",
    "callbacks.interruption=null",
    "logger=none",
    "metric=none",
    "ema=null",
]
QUIET += [
    "trainer.log_every_n_steps=10",
    "trainer.max_steps=1500",
    "callbacks.doctor.every_images=4000",
]
DCGAN = ["model=dcgan", "generator.width=16", "discriminator.width=16"]
DIGITS = [*DCGAN, "data=digits"]
EMOJI = [*DCGAN, "data=openmoji"]
MLP = ["model=gan", "data=digits"]
RING = ["experiment=mixtures", "data=ring", "trainer.max_steps=3000"]
RING += ["data.batch_size=256", "callbacks.doctor.every_images=25000"]
FREE = "discriminator.norm=none"

FAST = ["optim.generator.lr=3e-3", "optim.discriminator.lr=3e-3", "optim/schedule=constant"]
MOMENTUM = [*FAST, "optim.generator.betas=[0.9,0.9]", "optim.discriminator.betas=[0.9,0.9]"]
SLOW_GENERATOR = [
    "optim=sgd",
    "optim.generator.lr=1e-3",
    "optim.discriminator._target_=torch.optim.Adam",
]
FEW = [
    *DCGAN,
    "data=image_folder",
    "data.root=FEW",
    "data.channels=1",
    "data.image_size=8",
    "data.test_share=0.2",
]
FEW += ["discriminator.width=64", "optim.discriminator.lr=5e-4", "trainer.max_steps=2500"]

CASES: dict[str, dict[str, list[str]]] = {
    "healthy": {
        "DCGAN on openmoji": EMOJI,
        "hinge on digits": [*DIGITS, "loss=hinge"],
        "R3GAN's loss on the ring": [
            *RING,
            "loss=r3gan",
            "regularizer.r1.gamma=0.02",
            "regularizer.r2.gamma=0.02",
        ],
        "WGAN-GP on digits": [
            *DIGITS,
            "loss=wgan_gp",
            "loss.n_critic=1",
            "optim.generator.lr=5e-4",
            "optim.discriminator.lr=5e-4",
        ],
    },
    "mode collapse": {
        "minimax with a slow discriminator, on the ring": [
            *RING,
            "loss=minimax",
            "optim.generator.lr=3e-3",
            "optim.discriminator.lr=3e-4",
        ],
        "momentum 0.9, too fast, fully connected, on digits": [*MLP, *MOMENTUM],
    },
    "saturated discriminator": {
        "a generator that hardly learns, on digits": [*DIGITS, "optim.generator.lr=2e-6"],
        "a generator that hardly learns, on openmoji": [*EMOJI, "optim.generator.lr=2e-6"],
    },
    "overfitting discriminator": {
        "96 digits": FEW,
        "96 digits, hinge": [*FEW, "loss=hinge"],
    },
    "vanishing generator gradient": {
        "minimax against a fast discriminator, on digits": [
            *DIGITS,
            "loss=minimax",
            FREE,
            *SLOW_GENERATOR,
            "optim.discriminator.lr=2e-3",
        ],
        "WGAN with weights clipped at 1e-4, on digits": [
            *DIGITS,
            "loss=wgan",
            "regularizer.weight_clip.limit=1e-4",
            FREE,
        ],
    },
    "explosion": {
        "WGAN without a constraint, on digits": [
            *DIGITS,
            "loss=wgan",
            "regularizer.weight_clip.limit=1e9",
            FREE,
            "optim=sgd",
            "optim.discriminator.lr=0.05",
        ],
        "WGAN without a constraint, on openmoji": [
            *EMOJI,
            "loss=wgan",
            "regularizer.weight_clip.limit=1e9",
            FREE,
            "optim=sgd",
            "optim.discriminator.lr=0.05",
        ],
    },
    "oscillation": {
        "a generator that is too fast, on the grid": [
            *RING,
            "data=grid",
            "loss=minimax",
            "optim.generator.lr=3e-3",
            "optim.discriminator.lr=3e-4",
        ],
        "a generator that is too fast, fully connected, on digits": [
            *MLP,
            "optim.generator.lr=5e-3",
        ],
    },
}


def few_digits(folder: Path, count: int = 120) -> Path:
    """A folder with ``count`` images of handwritten digits, a fifth of which will be held out."""
    from PIL import Image

    from gan_zoo.data.datasets.digits import digits

    folder.mkdir(parents=True)
    for number, pixels in enumerate(digits(channels=1, image_size=8).samples[:count]):
        Image.fromarray(pixels[0].numpy()).save(folder / f"{number}.png")
    return folder


def train_one(job: tuple[str, str, int]) -> dict[str, Any]:
    """Train one case with one seed on one core; returns the result with all diagnostic values."""
    warnings.filterwarnings("ignore")
    import torch
    from hydra import compose, initialize_config_dir

    from gan_zoo.callbacks.diagnostics import Doctor
    from gan_zoo.config.build import build
    from gan_zoo.core.errors import TrainingDiverged
    from gan_zoo.core.paths import CONF

    # The case's command.
    torch.set_num_threads(1)
    failure, case, seed = job
    result: dict[str, Any] = {"failure": failure, "case": case, "seed": seed, "diverged": False}
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*QUIET, *CASES[failure][case], f"seed={seed}", f"run_dir={folder}"]
        if "data.root=FEW" in overrides:
            overrides.append(f"data.root={few_digits(Path(folder) / 'digits')}")
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", overrides)

        # Train; the callback keeps its history.
        trainer, module, data = build(config)
        (doctor,) = [callback for callback in trainer.callbacks if isinstance(callback, Doctor)]
        try:
            trainer.fit(module, datamodule=data)
        except TrainingDiverged:
            result["diverged"] = True
    names = doctor.history[0] if doctor.history else ()
    readings = {}
    for name in names:
        readings[name] = [float(f"{check[name]:.3g}") for check in doctor.history]
    return result | {"seconds": round(module.clock.seconds, 1), "readings": readings}


def found(run: dict[str, Any]) -> set[str]:
    """The failure modes that were detected at any time of a run."""
    from gan_zoo.diagnostics.failure_modes import diagnose

    names = list(run["readings"])
    checks = zip(*run["readings"].values(), strict=True)
    history = [dict(zip(names, values, strict=True)) for values in checks]
    detected = {finding.name for finding in diagnose(history)}
    return detected | ({"explosion"} if run["diverged"] else set())


def table(runs: list[dict[str, Any]]) -> str:
    """For each case how often its failure was detected, and what else was."""
    lines = [
        "| induced failure | case | runs | detected | also detected |",
        "| --- | --- | --- | --- | --- |",
    ]
    for failure, cases in CASES.items():
        for case in cases:
            mine = [found(run) for run in runs if (run["failure"], run["case"]) == (failure, case)]
            others = Counter(name for names in mine for name in names - {failure})
            also = ", ".join(f"{name} {count}" for name, count in others.most_common())
            named = "" if failure == "healthy" else str(sum(failure in names for names in mine))
            lines.append(f"| {failure} | {case} | {len(mine)} | {named} | {also} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    parser.add_argument("--only", action="append")
    arguments = parser.parse_args()

    # Jobs without a result.
    results = arguments.results
    runs = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    done = {(run["failure"], run["case"], run["seed"]) for run in runs}
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    jobs = [(failure, case, seed) for seed in seeds for failure in CASES for case in CASES[failure]]
    jobs = [j for j in jobs if j not in done and (not arguments.only or j[0] in arguments.only)]

    # Each run in its own process.
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        for number, run in enumerate(pool.imap_unordered(train_one, jobs), start=1):
            with results.open("a") as file:
                file.write(json.dumps(run, separators=(",", ":")) + "\n")
            shown = f"{run['failure']}: {run['case']}: {', '.join(sorted(found(run))) or 'nothing'}"
            print(f"{number}/{len(jobs)} {time.perf_counter() - started:.0f} s {shown}", flush=True)
            runs.append(run)

    # The table in README.md.
    before, _, rest = (HERE / "README.md").read_text().partition("<!-- table -->")
    after = rest.partition("<!-- end -->")[2]
    (HERE / "README.md").write_text(
        f"{before}<!-- table -->\n\n{table(runs)}\n\n<!-- end -->{after}"
    )


if __name__ == "__main__":
    main()
