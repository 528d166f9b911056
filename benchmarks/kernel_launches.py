"""Kernel launches of a training step, counted without a GPU: python benchmarks/kernel_launches.py

A launch takes a GPU's host the same time, whatever the size of the tensors: a small network
trains as fast as its host launches. Counted are the operations that compute, on the pretended GPU of
the tests (tests/pretended_gpu/device.py): views and allocations are none, an operation that is
several kernels, or one for every some hundred tensors, is one. So the numbers compare loops, and are
a lower bound of kernels. They depend on neither the machine nor the width of networks nor, but for
image pools, the batch: all are small here.

A step is the steps of the discriminator and the generator, and the batch's data. Of gan_zoo it
includes the averaged generator, 1 launch and 1 more if it has buffers, and the check that numbers are
finite, 2 for each side; the other loops (benchmarks/loops.py) have neither.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import loops
import torch
from measuring import RESULTS, table
from train_speed import CASES

from gan_zoo.config.compose import instantiate
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from gan_zoo.data.dataset import Source

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.pretended_gpu.device import DEVICE, pretended_gpu
from tests.pretended_gpu.training import config_of, steps_on_gpu
from tests.training.two_processes import MODELS

COMPARED = ("DCGAN 32", "DCGAN 64", "MLP ring", "CycleGAN 64")
LOOPS = ("plain", "tuned", "ours")
QUICK = ("callbacks=none", "metric=none")
NARROW = ("generator.width=8", "discriminator.width=8")
Launches = Counter[str]


def config(*overrides: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return config_of(Path(folder), *QUICK, *overrides)


def of_ours(*overrides: str) -> Launches:
    """Launches of gan_zoo's step: discriminator steps and the generator step after them."""
    composed = config(*overrides)
    n_critic = composed.loss.n_critic
    composed.trainer.max_steps = 2 * n_critic
    launches = steps_on_gpu(composed)[1][-n_critic:]
    return sum(launches, Counter())


def of_loop(loop: loops.Loop, *overrides: str) -> Launches:
    """Launches of a step of another loop, its third."""
    counted: Launches = Counter()

    def batches(source: Source, size: int) -> Iterator[Any]:
        """The same batch forever: what a loader does is no launch."""
        parts = [part for part in (source.conditions, source.samples) if part is not None]
        first = [part[:size].float() for part in parts]
        while True:
            yield first if len(first) > 1 else first[0]

    def timed(step: Callable[[], None], *_: int) -> float:
        for _ in range(3):
            recorder.clear()
            step()
        counted.update(recorder.launches)
        return 1.0

    loops.device = lambda: DEVICE
    loops.batches = batches
    loops.timed = timed
    composed = config(*overrides)
    with pretended_gpu() as recorder:
        loop(composed, instantiate(composed.data.source), 0, 1)
    return counted


def compared(case: str, names: Sequence[str] = LOOPS) -> dict[str, Launches]:
    """Launches of loops of a case of benchmarks/train_speed.py."""
    case_loops, overrides = CASES[case]
    small = list(overrides) if case == "MLP ring" else [*overrides, *NARROW]
    # The pool of CycleGAN copies images one by one.
    small.append(f"data.batch_size={1 if case.startswith('CycleGAN') else 4}")
    return {
        name: of_ours(*small) if name == "ours" else of_loop(case_loops[name], *small)
        for name in names
    }


def of_model(model: str) -> Launches:
    without_metric = (o for o in MODELS[model] if not o.startswith("metric"))
    return of_ours(f"model={model}", *without_metric, "data.batch_size=4")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=COMPARED, action="append")
    parser.add_argument("--model", choices=choices("model", CONF), action="append")
    parser.add_argument("--operations", action="store_true", help="print them with their counts")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    everything = not arguments.case and not arguments.model

    # The loops beside each other.
    rows = []
    for case in COMPARED if everything else arguments.case or ():
        found = compared(case)
        rows.append([case, *(str(found[name].total()) for name in LOOPS)])
        print("  ".join(rows[-1]), flush=True)
        if arguments.operations:
            for name in ("tuned", "ours"):
                print(f"  {name}:", dict(found[name].most_common()))

    # Every model.
    models = []
    for model in choices("model", CONF) if everything else arguments.model or ():
        found_of_model = of_model(model)
        models.append([f"`{model}`", str(found_of_model.total())])
        print("  ".join(models[-1]), flush=True)
        if arguments.operations:
            print("  ", dict(found_of_model.most_common()))

    if arguments.write and everything:
        (RESULTS / "kernel-launches.md").write_text(page(rows, models), encoding="utf-8")


def page(rows: list[list[str]], models: list[list[str]]) -> str:
    """The page of results."""
    lines = (__doc__ or "").split("\n\n")[1:]
    explained = "\n\n".join(lines)
    parts = [
        "# Kernel launches of a training step",
        f"`python benchmarks/kernel_launches.py --write`: torch {torch.__version__}, without a GPU",
        explained.strip(),
        "## Loops",
        table(["case", "plain", "tuned", "ours"], rows),
        "## Models",
        "With the smallest networks of `tests/training/two_processes.py`, which have fewer layers"
        " than the presets.",
        table(["model", "launches"], models),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
