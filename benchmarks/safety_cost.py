"""What it costs that nothing is lost: python benchmarks/safety_cost.py

The same training twice, in turns: `with` looks at every term and gradient before a player steps, compares signals
after every batch and writes checkpoints at the default rate; `without` does none of this. The ratio is the median over
rounds.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from train_speed import CASES, Stopwatch, machine

from gan_zoo import module
from gan_zoo.build import build_module
from gan_zoo.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints
from gan_zoo.callbacks.interruption import Interruption
from gan_zoo.compose import CONF, instantiate
from gan_zoo.data.datamodule import DataModule
from gan_zoo.players import Watch
from gan_zoo.signals import SIGNALS


@contextmanager
def blind() -> Iterator[None]:
    """No look at terms and gradients."""
    nothing, honest = torch.zeros(()), (module.gradient_norm, Watch.observe)
    module.gradient_norm, Watch.observe = lambda parameters: nothing, lambda *arguments: None
    try:
        yield
    finally:
        module.gradient_norm, Watch.observe = honest


def speed(config, source, safe: bool, steps: int) -> float:
    warmup = max(10, steps // 10)
    watch = Stopwatch(warmup)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()), SIGNALS.restored():
        guards = [Interruption(), Checkpoints(folder, config.callbacks.checkpoints.every_images)] if safe else []
        trainer = instantiate(
            config.trainer,
            max_steps=warmup + steps,
            logger=False,
            callbacks=[watch, *guards],
            plugins=[AtomicCheckpointIO()],
            enable_progress_bar=False,
            enable_checkpointing=safe,
        )
        trainer.fit(build_module(config), datamodule=DataModule(source, batch_size=config.data.batch_size))
    return steps * config.data.batch_size / watch.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run, about")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    lines = ["| case | without | with | with / without |", "| --- | --- | --- | --- |"]
    for case, overrides in CASES.items():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", [*overrides, "trainer=cpu", "run_dir=/tmp"])
        source = instantiate(config.data.source)
        steps = max(20, int(arguments.seconds * speed(config, source, True, 30) / config.data.batch_size))
        with_, without = [], []
        for number in range(arguments.rounds):
            order = (True, False) if number % 2 else (False, True)
            for safe in order:
                with nullcontext() if safe else blind():
                    (with_ if safe else without).append(speed(config, source, safe, steps))
        ratio = statistics.median(a / b for a, b in zip(with_, without, strict=True))
        lines.append(f"| {case} | {statistics.median(without):,.0f} | {statistics.median(with_):,.0f} | {ratio:.3f} |")
        print(lines[-1], flush=True)
    command = f"python benchmarks/safety_cost.py --rounds {arguments.rounds} --seconds {arguments.seconds:g}"
    report = f"`{command}`: images/s, {machine()}\n\n" + "\n".join(lines) + "\n"
    print("\n" + report)
    if arguments.write:
        Path(__file__).with_name("results").joinpath("safety-cost.md").write_text(report)


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    main()
