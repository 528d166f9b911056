"""Training throughput compared with other loops: python benchmarks/train_speed.py

Loops (benchmarks/loops.py, and those of other packages that are installed, benchmarks/peers.py)
train the same networks on the same data with the same batch and precision, interleaved. Each figure
is the median over rounds of images/s after a warm-up; ratios are taken round by round, so that they
hold when the machine's speed drifts. `--write` writes this machine's table into
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from functools import partial

import torch
from loops import GAN, TRANSLATION, Loop
from measuring import Speeds, interleaved, median, ratio, table, write
from peers import installed

from gan_zoo.config.compose import compose_overrides, instantiate

CYCLEGAN = ["model=cyclegan", "loss=lsgan", "data.image_size=64", "data.batch_size=4"]
CASES: dict[str, tuple[dict[str, Loop], list[str]]] = {
    "DCGAN 32": (GAN, ["model=dcgan", "data=openmoji", "data.image_size=32"]),
    "DCGAN 64": (GAN, ["model=dcgan", "data=openmoji", "data.image_size=64"]),
    "MLP ring": (GAN, ["model=gan", "data=ring"]),
    "CycleGAN 64": (TRANSLATION, CYCLEGAN),
    "CycleGAN 64, ours compiled": (TRANSLATION, [*CYCLEGAN, "trainer=compiled"]),
}


def measure(loops: dict[str, Loop], overrides: list[str], rounds: int, seconds: float) -> Speeds:
    where = "auto" if torch.cuda.is_available() else "cpu"
    config = compose_overrides([f"trainer={where}", "run_dir=/tmp", *overrides])
    source = instantiate(config.data.source)
    steps = max(10, int(seconds * loops["tuned"](config, source, 3, 10) / config.data.batch_size))
    warmup = max(5, steps // 10)
    return interleaved(
        {name: partial(loop, config, source, warmup, steps) for name, loop in loops.items()}, rounds
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of each loop in each round, about"
    )
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    # One row for each case.
    rows = []
    peers = installed()
    others = ("plain", *peers, "tuned")
    for case in arguments.case or CASES:
        loops, overrides = CASES[case]
        speeds = measure(
            loops | (peers if loops is GAN else {}), overrides, arguments.rounds, arguments.seconds
        )
        figures = [median(speeds[name]) if name in speeds else "" for name in (*others, "ours")]
        rows.append(
            [
                case,
                *figures,
                *(f"{ratio(speeds, 'ours', o):.2f}" if o in speeds else "" for o in others),
            ]
        )
        print("  ".join(rows[-1]), flush=True)

    # Results of this machine.
    result = table(["case", *others, "ours", *(f"ours / {other}" for other in others)], rows)
    print(result)
    if arguments.write:
        command = f"python benchmarks/train_speed.py --rounds {arguments.rounds} --seconds {arguments.seconds:g}"
        print(write("Training compared with other loops", command, {"Images/s": result}))


if __name__ == "__main__":
    main()
