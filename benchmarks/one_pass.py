"""Reals and fakes through the critic together, or one after the other: python benchmarks/one_pass.py

The critic's turn alone: two forward passes or one over both, and one backward pass. Critics that keep samples apart,
those without batch statistics, compute the same both ways. One pass is faster where passes are small: where the line is
drawn, `gan_zoo.training.joint_forward.LARGE` numbers of the reals, comes from this table. Then whole training both
ways.
"""

from __future__ import annotations

import argparse
import logging
import math
import warnings
from functools import partial
from typing import Any
from unittest import mock

import torch
from loops import game_of, ours
from measuring import Speeds, device, in_turns, median, ratio, table, timed, write
from torch.nn import functional as F

from gan_zoo.config.compose import compose_overrides, instantiate
from gan_zoo.core.types import Duel
from gan_zoo.training.joint_forward import judge_both, judges_apart

APART, TOGETHER = "one after the other", "together"
MLP = ["model=gan", "data=digits"]
DCGAN = ["model=dcgan", "data=openmoji", "discriminator.norm=none"]
CYCLEGAN = ["model=cyclegan", "data=openmoji_lines", "data.image_size=64"]
TRAINED = ("MLP ring", "MLP, 8 pixels", "MLP, 32 pixels", "DCGAN without norm, 16 pixels")
CASES = {
    "MLP ring": ["model=gan", "data=ring"],
    "MLP, 8 pixels": [*MLP, "data.image_size=8"],
    "MLP, 32 pixels": [*MLP, "data.image_size=32"],
    "DCGAN without norm, 16 pixels": [*DCGAN, "data.image_size=16"],
    "DCGAN without norm, 32 pixels": [*DCGAN, "data.image_size=32"],
    "DCGAN without norm, 64 pixels": [*DCGAN, "data.image_size=64"],
    "PatchGAN with instance norm, 64 pixels, one picture": [*CYCLEGAN, "data.batch_size=1"],
    "PatchGAN with instance norm, 64 pixels": CYCLEGAN,
    "PatchGAN with instance norm, 64 pixels, 16 pictures": [*CYCLEGAN, "data.batch_size=16"],
}


def training(config: Any, rounds: int, seconds: float) -> Speeds:
    """Images/s of training with its logging, both ways in turns."""
    source = instantiate(config.data.source)
    steps = max(20, int(seconds * ours(config, source, 5, 20) / config.data.batch_size))

    def speed(large: int) -> float:
        with mock.patch("gan_zoo.training.joint_forward.LARGE", large):
            return ours(config, source, max(5, steps // 10), steps)

    return in_turns({APART: partial(speed, 0), TOGETHER: partial(speed, 2**62)}, rounds)


def measure(config: Any, rounds: int, seconds: float) -> Speeds:
    """Images/s of the critic's turn, both ways in turns; the scores are the same."""
    critic, size = next(iter(game_of(config, torch.channels_last).discriminators.values())), config.data.batch_size
    real, fake = torch.randn(2, size, *config.data.sample_shape, device=device())
    if real.ndim == 4:
        real, fake = (side.contiguous(memory_format=torch.channels_last) for side in (real, fake))
    duel = Duel("realism", critic, real, fake)
    assert judges_apart(critic)
    both, each = judge_both(duel, together=True), judge_both(duel, together=False)
    torch.testing.assert_close([view.score for view in both], [view.score for view in each])

    def turn(together: bool) -> None:
        critic.zero_grad()
        on_real, on_fake = judge_both(duel, together)
        (F.softplus(-on_real.score).mean() + F.softplus(on_fake.score).mean()).backward()

    steps = max(5, int(seconds * timed(partial(turn, False), 3, 5, 1)))
    ways = {APART: False, TOGETHER: True}
    return in_turns({name: partial(timed, partial(turn, way), 2, steps, size) for name, way in ways.items()}, rounds)


def figures(speeds: Speeds) -> list[str]:
    return [*(median(speeds[name]) for name in (APART, TOGETHER)), f"{ratio(speeds, TOGETHER, APART):.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each way in each round")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    turns, trainings = [], []
    for case, overrides in CASES.items():
        config = compose_overrides(["trainer=auto", "run_dir=/tmp", *overrides])
        with mock.patch("gan_zoo.training.joint_forward.LARGE", 2**62):
            speeds = measure(config, arguments.rounds, arguments.seconds)
        size, numbers = config.data.batch_size, config.data.batch_size * math.prod(config.data.sample_shape)
        turns.append([case, str(size), f"{numbers:,}", *figures(speeds)])
        print("  ".join(turns[-1]), flush=True)
        if case in TRAINED:
            trainings.append([case, *figures(training(config, arguments.rounds, 3 * arguments.seconds))])
            print("training", "  ".join(trainings[-1]), flush=True)
    tables = {
        "The critic's turn, images/s": table(["critic", "batch", "numbers", APART, TOGETHER, "ratio"], turns),
        "Training, images/s": table(["critic", APART, TOGETHER, "ratio"], trainings),
    }
    if arguments.write:
        command = f"python benchmarks/one_pass.py --rounds {arguments.rounds} --seconds {arguments.seconds:g}"
        print(write("Reals and fakes together", command, tables))


if __name__ == "__main__":
    main()
