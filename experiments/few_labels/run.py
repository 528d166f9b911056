"""Test error with few labels: python experiments/few_labels/run.py DATA_ROOT

`model=sgan` on MNIST with 100 labels, compared with its own discriminator trained on the same 100
labels alone, seed by seed. Runs in results.jsonl are not repeated. Writes results.jsonl, and the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from gan_zoo.config.build import build
from gan_zoo.config.compose import compose_overrides
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.launch.train import train

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.jsonl"
RECIPE = ["model=sgan", "data=mnist", "trainer=cpu", "logger=none", "metric=class_accuracy"]
RECIPE += ["callbacks.evaluation.every_images=0", "callbacks.progress=null"]


def semi_supervised(overrides: list[str]) -> float:
    """The test error of `model=sgan`."""
    return 1 - train(compose_overrides(overrides))["val/class_accuracy"]


def supervised(overrides: list[str], steps: int = 1000) -> float:
    """The test error of the same discriminator, with the same optimizer, on the labeled samples
    alone.
    """
    config = compose_overrides(overrides)
    _, module, data = build(config)
    source = data.source
    network = module.model.discriminators["main"]
    optimizer = module.optimizer_factories["discriminator"](list(network.parameters()))

    # Batches of the labeled samples.
    rows = source.labeled.nonzero().flatten()
    images = to_unit(source.samples[rows])
    labels = source.labels[rows]
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(steps):
        chosen = torch.randperm(len(rows), generator=generator)[: config.data.batch_size]
        optimizer.zero_grad()
        cross_entropy(network(images[chosen]).aux, labels[chosen]).backward()
        optimizer.step()

    # The whole test set.
    network.eval()
    test = source.evaluation_split()
    with torch.no_grad():
        parts = torch.arange(len(test)).split(500)
        found = [network(to_unit(test.samples[part])).aux.argmax(1) for part in parts]
    return float((torch.cat(found) != test.labels).float().mean())


METHODS = {"semi-supervised": semi_supervised, "100 labels alone": supervised}


def finished() -> list[dict[str, Any]]:
    """The runs in results.jsonl."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", help="folder of MNIST")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2500)
    arguments = parser.parse_args()

    # What is missing, seed by seed.
    done = {(run["method"], run["seed"]) for run in finished()}
    for seed in range(arguments.seeds):
        for name, method in METHODS.items():
            if (name, seed) in done:
                continue
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                settings = [f"data.root={arguments.root}", f"data.labeled={arguments.labels}"]
                settings += [f"trainer.max_steps={arguments.steps}", f"seed={seed}"]
                error = method([*RECIPE, *settings, f"run_dir={folder}"])
            run = {"method": name, "seed": seed, "test_error": error}
            run["seconds"] = round(time.perf_counter() - started, 1)
            print(run, flush=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(run) + "\n")

    # Means over the seeds.
    print("| | seeds | test error |\n| --- | --- | --- |")
    for name in METHODS:
        errors = [100 * run["test_error"] for run in finished() if run["method"] == name]
        spread = statistics.stdev(errors) if len(errors) > 1 else 0.0
        print(f"| {name} | {len(errors)} | {statistics.mean(errors):.2f} +- {spread:.2f} % |")


if __name__ == "__main__":
    main()
