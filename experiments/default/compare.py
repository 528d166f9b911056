"""Candidates for the default run at equal cost: python experiments/default/compare.py

Every candidate trains on the default data for the CPU seconds that BASE needs for IMAGES images, on
one core, and is measured like any run. Runs in results.jsonl are not repeated. Writes
results.jsonl, the table in README.md, and a grid of each candidate into --grids.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.jsonl"
README = HERE / "README.md"

IMAGES = 126_000
"""What 3.5 minutes allow at 600 images/s."""
BASE = "before: nonsaturating, batch 64, lr 2e-4"
BEFORE = ["loss=nonsaturating", "data.batch_size=64"]
BEFORE += ["optim.generator.lr=2e-4", "optim.discriminator.lr=2e-4", "augment=none"]
LINEAR = ["optim/schedule=linear"]


def rates(value: str) -> list[str]:
    """Both learning rates."""
    return [f"optim.{side}.lr={value}" for side in ("generator", "discriminator")]


CANDIDATES: dict[str, list[str]] = {
    BASE: [],
    "lr 5e-4": rates("5e-4"),
    "lr 1e-3": rates("1e-3"),
    "lr 2e-3": rates("2e-3"),
    "lr 1e-3, linear decay": [*rates("1e-3"), *LINEAR],
    "lr 1e-3, lsgan": [*rates("1e-3"), "loss=lsgan"],
}
COST_STEPS = 60


def composed(folder: str, *overrides: str) -> Any:
    """The config of a quiet run on one core."""
    from hydra import compose, initialize_config_dir

    from gan_zoo.core.paths import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [f"run_dir={folder}", "trainer=cpu", "logger=none", *overrides])


def cost(overrides: list[str]) -> float:
    """CPU seconds a step, median of some."""
    from lightning.pytorch import Callback

    from gan_zoo.config.build import build

    ends = []

    class Ends(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            ends.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        quiet = ["callbacks=none", "metric=none", f"trainer.max_steps={COST_STEPS}"]
        trainer, module, data = build(composed(folder, *overrides, *quiet))
        trainer.callbacks.append(Ends())
        trainer.fit(module, datamodule=data)
    return statistics.median(after - before for before, after in pairwise(ends))


def run(name: str, seed: int, grids: Path) -> dict[str, Any]:
    """Train a candidate for the same CPU seconds as all."""
    from PIL import Image

    from gan_zoo.callbacks.evaluation import Evaluation
    from gan_zoo.config.build import build

    # Steps for the same cost.
    overrides = [*BEFORE, *CANDIDATES[name]]
    base_seconds = cost(BEFORE)
    seconds = cost(overrides)
    base_steps = IMAGES / 64
    steps = round(base_steps * base_seconds / seconds)

    # Train.
    with tempfile.TemporaryDirectory() as folder:
        overrides += ["callbacks.progress=null", "callbacks.checkpoints=null"]
        overrides += ["callbacks.evaluation.every_images=0", "callbacks.samples.every_images=0"]
        config = composed(folder, *overrides, f"trainer.max_steps={steps}", f"seed={seed}")
        trainer, module, data = build(config)
        started = time.process_time()
        trainer.fit(module, datamodule=data)
        trained = time.process_time() - started
        (picture,) = Path(folder).rglob("*.png")
        Image.open(picture).save(grids / f"{name.replace(' ', '_').replace(':', '')}_{seed}.png")

    # What came of it.
    (evaluation,) = [c for c in trainer.callbacks if isinstance(c, Evaluation)]
    return {
        "candidate": name,
        "seed": seed,
        "cost": round(seconds / base_seconds, 3),
        "steps": steps,
        "images": steps * config.data.batch_size,
        **{score.name: round(score.value, 4) for score in evaluation.scores},
        "cpu_seconds": round(trained, 1),
        "processor": platform.processor() or platform.machine(),
    }


def finished() -> list[dict[str, Any]]:
    """The runs in results.jsonl."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def table(runs: list[dict[str, Any]]) -> str:
    """A row for each candidate, the best first."""
    lines = [
        "| candidate | seeds | images | fd | against before |",
        "| --- | --- | --- | --- | --- |",
    ]
    by_name = {name: [r for r in runs if r["candidate"] == name] for name in CANDIDATES}
    means = {
        name: statistics.mean(r["fd_efficientnet_lite0"] for r in mine)
        for name, mine in by_name.items()
        if mine
    }
    for name, fd in sorted(means.items(), key=lambda item: item[1]):
        mine = by_name[name]
        images = statistics.mean(r["images"] for r in mine)
        ratio = fd / means[BASE] if BASE in means else float("nan")
        lines.append(f"| {name} | {len(mine)} | {images:,.0f} | {fd:.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def write_table(runs: list[dict[str, Any]]) -> None:
    """Replace the table in README.md."""
    text = README.read_text()
    before, mark, after = text.partition("<!-- table -->\n")
    if not mark:
        raise SystemExit(f"{README} has no line <!-- table -->")
    _, _, rest = after.partition("<!-- end -->")
    README.write_text(f"{before}{mark}\n{table(runs)}\n\n<!-- end -->{rest}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--grids", type=Path, default=Path(tempfile.gettempdir()) / "default_grids")
    parser.add_argument("--table", action="store_true", help="only write the table")
    arguments = parser.parse_args()
    if not arguments.table:
        import torch

        warnings.filterwarnings("ignore")
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
        arguments.grids.mkdir(parents=True, exist_ok=True)
        for seed in range(arguments.seeds):
            for name in arguments.only:
                if any(r["candidate"] == name and r["seed"] == seed for r in finished()):
                    continue
                result = run(name, seed, arguments.grids)
                print(result, flush=True)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(result) + "\n")
    write_table(finished())


if __name__ == "__main__":
    main()
