"""What logging costs: python benchmarks/logging_cost.py

The same training of DCGAN at 32 pixels, interleaved: without any logger; with `logger=csv`; with
`logger=wandb`, offline, or to the server of WANDB_BASE_URL with --online; with `logger=tensorboard`.
All of them write image grids and let the doctor look at their default rates, so that ratios are
those of the loggers alone; `bare` does neither. Ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import warnings
from functools import partial

from loops import Stopwatch
from measuring import interleaved, median, ratio, table, write

from gan_zoo.config.build import build
from gan_zoo.config.compose import compose_overrides
from gan_zoo.loggers.dispatch import finish_loggers, log_config, log_directions

CALLBACKS = [
    f"callbacks.{name}=null" for name in ("progress", "evaluation", "checkpoints", "interruption")
]
CASES = {
    "bare": ["logger=none", "callbacks=none"],
    "none": ["logger=none", *CALLBACKS],
    "csv": ["logger=csv", *CALLBACKS],
    "tensorboard": ["logger=tensorboard", *CALLBACKS],
    "wandb": ["logger=wandb", *CALLBACKS],
}


def train(overrides: list[str], warmup: int, steps: int) -> float:
    """Images/s of a training between the warm-up and its end."""
    with tempfile.TemporaryDirectory() as folder:
        common = ["trainer=cpu", f"run_dir={folder}", f"trainer.max_steps={warmup + steps}"]
        config = compose_overrides(["model=dcgan", "data=openmoji", "seed=0", *common, *overrides])
        trainer, module, data = build(config)
        watch = Stopwatch(warmup)
        trainer.callbacks.append(watch)
        if trainer.loggers:
            log_config(trainer, {"model": "dcgan"})
            log_directions(trainer, {})
        trainer.fit(module, datamodule=data)
        finish_loggers(trainer, failed=False)
        return steps * config.data.batch_size / watch.seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument(
        "--online", action="store_true", help="send to the server of WANDB_BASE_URL"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    os.environ["WANDB_MODE"] = "online" if arguments.online else "offline"

    runs = {
        name: partial(train, overrides, 20, arguments.steps) for name, overrides in CASES.items()
    }
    speeds = interleaved(runs, arguments.rounds)
    rows = [[name, median(speeds[name]), f"{ratio(speeds, name, 'none'):.3f}"] for name in speeds]
    result = table(["logger", "images/s", "of that without a logger"], rows)
    print(result)
    if arguments.write:
        options = " --online" * arguments.online
        command = f"python benchmarks/logging_cost.py --rounds {arguments.rounds} --steps {arguments.steps}{options}"
        print(write("Cost of logging", command, {"Images/s": result}))


if __name__ == "__main__":
    main()
