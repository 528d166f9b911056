"""Training throughput beside what a user would otherwise write: python benchmarks/train_speed.py

Three loops train the same networks on the same data with the same batch, precision and optimizer settings, in turns:

plain   the structure of the public PyTorch DCGAN example: a DataLoader with two workers, two separate backward passes
        of the critic, the whole graph kept through the frozen player, default optimizers
tuned   the least a hand-written loop can do: data gathered in memory, one critic backward pass, a frozen critic in the
        generator's turn, fused optimizers, channels-last; no logging, no averaging, no checkpoint, no noise by purpose
ours    `GANModule` under Lightning with its logging, averaged generator and exact order of samples

Each figure is the median over rounds of images/s after a warm-up; ratios are taken round by round, so that they hold
when the machine's speed drifts. `--write` adds a table for this machine to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from gan_zoo.build import build_module
from gan_zoo.compose import CONF, instantiate
from gan_zoo.data.datamodule import DataModule
from gan_zoo.data.source import Source, to_unit

CASES = {
    "DCGAN 32": ["model=dcgan", "data=openmoji", "data.image_size=32"],
    "DCGAN 64": ["model=dcgan", "data=openmoji", "data.image_size=64"],
    "MLP ring": ["model=gan", "data=ring"],
}


class Items(Dataset):
    """One sample at a time, as a user's data set returns them."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Tensor:
        return to_unit(self.source.samples[index])


def networks(config) -> tuple[nn.Module, nn.Module, int]:
    module = build_module(config)
    return module.game.generators["main"], module.game.discriminators["main"], module.game.latent_dim


def timed(step: Callable[[], None], warmup: int, steps: int, images: int) -> float:
    for _ in range(warmup):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * images / (time.perf_counter() - start)


def plain(config, source: Source, warmup: int, steps: int) -> float:
    generator, critic, latent_dim = networks(config)
    generator.to(memory_format=torch.contiguous_format), critic.to(memory_format=torch.contiguous_format)
    batch = config.data.batch_size
    opt_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loader = DataLoader(
        Items(source), batch_size=batch, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True
    )

    def forever() -> Iterator[Tensor]:
        while True:
            yield from loader

    batches = forever()

    def step() -> None:
        real = next(batches)
        opt_d.zero_grad()
        score = critic(real)
        F.binary_cross_entropy_with_logits(score, torch.ones_like(score)).backward()
        fake = generator(torch.randn(batch, latent_dim))
        score = critic(fake.detach())
        F.binary_cross_entropy_with_logits(score, torch.zeros_like(score)).backward()
        opt_d.step()
        opt_g.zero_grad()
        score = critic(fake)
        F.binary_cross_entropy_with_logits(score, torch.ones_like(score)).backward()
        opt_g.step()

    return timed(step, warmup, steps, batch)


def tuned(config, source: Source, warmup: int, steps: int) -> float:
    generator, critic, latent_dim = networks(config)
    batch = config.data.batch_size
    opt_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    frozen = list(critic.parameters())

    def step() -> None:
        real = to_unit(source.samples[torch.randint(len(source), (batch,))])
        fake = generator(torch.randn(batch, latent_dim))
        loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
        opt_d.zero_grad()
        loss.backward()
        opt_d.step()
        for parameter in frozen:
            parameter.requires_grad_(False)
        loss = F.softplus(-critic(fake)).mean()
        opt_g.zero_grad()
        loss.backward()
        opt_g.step()
        for parameter in frozen:
            parameter.requires_grad_(True)

    return timed(step, warmup, steps, batch)


class Stopwatch(Callback):
    """Seconds between the end of the warm-up and the end of training."""

    def __init__(self, warmup: int) -> None:
        self.warmup, self.start = warmup, 0.0

    def on_train_batch_end(self, trainer, *_) -> None:
        if trainer.global_step == self.warmup:
            self.start = time.perf_counter()

    def on_train_end(self, *_) -> None:
        self.seconds = time.perf_counter() - self.start


def ours(config, source: Source, warmup: int, steps: int) -> float:
    watch = Stopwatch(warmup)
    data = DataModule(source, batch_size=config.data.batch_size)
    with redirect_stdout(StringIO()):
        trainer = instantiate(
            config.trainer,
            max_steps=warmup + steps,
            logger=False,
            callbacks=[watch],
            enable_progress_bar=False,
            enable_checkpointing=False,
        )
        trainer.fit(build_module(config), datamodule=data)
    return steps * config.data.batch_size / watch.seconds


LOOPS = {"plain": plain, "tuned": tuned, "ours": ours}


def measure(overrides: list[str], rounds: int, seconds: float) -> dict[str, list[float]]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [*overrides, "trainer=cpu", "run_dir=/tmp"])
    source = instantiate(config.data.source)
    guess = tuned(config, source, 5, 20)
    steps = max(20, int(seconds * guess / config.data.batch_size))
    speeds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for _ in range(rounds):
        for name, loop in LOOPS.items():
            speeds[name].append(loop(config, source, max(10, steps // 10), steps))
    return speeds


def table(results: dict[str, dict[str, list[float]]]) -> str:
    lines = ["| case | plain | tuned | ours | ours / plain | ours / tuned |", "| --- | --- | --- | --- | --- | --- |"]
    for case, speeds in results.items():
        medians = [f"{statistics.median(speeds[name]):,.0f}" for name in LOOPS]
        ratios = [
            statistics.median(a / b for a, b in zip(speeds["ours"], speeds[other], strict=True))
            for other in ("plain", "tuned")
        ]
        lines.append(f"| {case} | {' | '.join(medians)} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)


def machine() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    cpu = names[0] if names else platform.processor()
    return f"{cpu}, {os.cpu_count()} cores, torch {torch.__version__}, {datetime.date.today()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each loop in each round, about")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    results = {}
    for case in arguments.case or CASES:
        results[case] = measure(CASES[case], arguments.rounds, arguments.seconds)
        print(table({case: results[case]}).splitlines()[-1], flush=True)
    report = f"images/s, {machine()}\n\n{table(results)}\n"
    print("\n" + report)
    if arguments.write:
        name = f"train-speed-{platform.machine()}-{os.cpu_count()}cores.md"
        Path(__file__).with_name("results").joinpath(name).write_text(f"`python benchmarks/train_speed.py`: {report}")


if __name__ == "__main__":
    import logging

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    main()
