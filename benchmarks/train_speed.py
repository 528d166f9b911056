"""Training throughput beside what a user would otherwise write: python benchmarks/train_speed.py

Three loops (benchmarks/loops.py) train the same networks on the same data with the same batch and precision, in turns.
Each figure is the median over rounds of images/s after a warm-up; ratios are taken round by round, so that they hold
when the machine's speed drifts. On a machine with a GPU larger cases are measured. `--write` writes this machine's
table into benchmarks/results/.
"""

from __future__ import annotations

import argparse
import logging
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from loops import GAN, TRANSLATION, Loop
from measuring import Speeds, median, ratio, table, write

from gan_zoo.compose import CONF, instantiate

CASES: dict[str, tuple[dict[str, Loop], list[str]]] = {
    "DCGAN 32": (GAN, ["model=dcgan", "data=openmoji", "data.image_size=32"]),
    "DCGAN 64": (GAN, ["model=dcgan", "data=openmoji", "data.image_size=64"]),
    "MLP ring": (GAN, ["model=gan", "data=ring"]),
    "CycleGAN 64": (TRANSLATION, ["model=cyclegan", "loss=lsgan", "data.image_size=64"]),
}


def composed(overrides: list[str]) -> Any:
    where = "auto" if torch.cuda.is_available() else "cpu"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides, f"trainer={where}", "run_dir=/tmp"])


def measure(loops: dict[str, Loop], overrides: list[str], rounds: int, seconds: float) -> Speeds:
    config = composed(overrides)
    source = instantiate(config.data.source)
    steps = max(10, int(seconds * loops["tuned"](config, source, 3, 10) / config.data.batch_size))
    speeds: Speeds = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            speeds[name].append(loop(config, source, max(5, steps // 10), steps))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each loop in each round, about")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = []
    for case in arguments.case or CASES:
        speeds = measure(*CASES[case], arguments.rounds, arguments.seconds)
        ratios = (f"{ratio(speeds, 'ours', other):.2f}" for other in ("plain", "tuned"))
        rows.append([case, *(median(speeds[name]) for name in speeds), *ratios])
        print("  ".join(rows[-1]), flush=True)
    result = table(["case", "plain", "tuned", "ours", "ours / plain", "ours / tuned"], rows)
    print(result)
    if arguments.write:
        command = f"python benchmarks/train_speed.py --rounds {arguments.rounds} --seconds {arguments.seconds:g}"
        print(write("Training beside other loops", command, {"Images/s": result}))


if __name__ == "__main__":
    main()
