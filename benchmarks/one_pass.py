"""Reals and fakes through the critic together, or one after the other: python benchmarks/one_pass.py

The critic's turn alone: two forward passes or one over both, and one backward pass. Critics that keep samples apart,
those without batch statistics, compute the same both ways. Ours shows reals and fakes one after the other.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from loops import game_of, score_of
from measuring import Speeds, device, median, ratio, table, timed, write
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.compose import compose_overrides

APART, TOGETHER = "one after the other", "together"
DCGAN = ["model=dcgan", "data=openmoji", "discriminator.norm=none"]
CYCLEGAN = ["model=cyclegan", "data=openmoji_lines", "data.image_size=64"]
CASES = {
    "MLP ring": ["model=gan", "data=ring"],
    "DCGAN without norm, 32 pixels": [*DCGAN, "data.image_size=32"],
    "DCGAN without norm, 64 pixels": [*DCGAN, "data.image_size=64"],
    "PatchGAN with instance norm, 64 pixels": CYCLEGAN,
    "PatchGAN with instance norm, 64 pixels, one picture": [*CYCLEGAN, "data.batch_size=1"],
}


def measure(config: Any, rounds: int, seconds: float) -> Speeds:
    """Images/s of the critic's turn, both ways in turns; the scores are the same."""
    critic, size = next(iter(game_of(config, torch.channels_last).discriminators.values())), config.data.batch_size
    real, fake = torch.randn(2, size, *config.data.sample_shape, device=device())
    if real.ndim == 4:
        real, fake = (side.contiguous(memory_format=torch.channels_last) for side in (real, fake))

    def apart() -> tuple[Tensor, Tensor]:
        return score_of(critic, real), score_of(critic, fake)

    def together() -> tuple[Tensor, Tensor]:
        on_real, on_fake = score_of(critic, torch.cat([real, fake])).chunk(2)
        return on_real, on_fake

    torch.testing.assert_close(apart(), together())

    def turn(judge: Any) -> None:
        critic.zero_grad()
        on_real, on_fake = judge()
        (F.softplus(-on_real).mean() + F.softplus(on_fake).mean()).backward()

    steps = max(5, int(seconds * timed(lambda: turn(apart), 3, 5, 1)))
    ways = {APART: apart, TOGETHER: together}
    speeds: Speeds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, judge in ways.items():
            speeds[name].append(timed(lambda judge=judge: turn(judge), 2, steps, size))  # type: ignore[misc]
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each way in each round")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for case, overrides in CASES.items():
        config = compose_overrides(["trainer=auto", "run_dir=/tmp", *overrides])
        speeds = measure(config, arguments.rounds, arguments.seconds)
        measured = [*(median(speeds[name]) for name in (APART, TOGETHER)), f"{ratio(speeds, TOGETHER, APART):.2f}"]
        rows.append([case, str(config.data.batch_size), *measured])
    header = ["critic", "batch", APART, TOGETHER, "ratio"]
    tables = {"The critic's turn, images/s": table(header, rows)}
    print(*tables.values())
    if arguments.write:
        command = f"python benchmarks/one_pass.py --rounds {arguments.rounds} --seconds {arguments.seconds:g}"
        print(write("Reals and fakes together", command, tables))


if __name__ == "__main__":
    main()
