"""Short trainings on the pretended GPU, in a process of their own.

The device is registered with torch for the rest of a process, so tests ask a `Worker` instead:

    worker.ask("model=dcgan", "data=digits")       # what happened in the last of some steps
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
QUIET = ("trainer=cpu", "logger=none", "trainer.log_every_n_steps=1000")


class Worker:
    """A process with the pretended GPU, which trains one config after another."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, *overrides: str) -> dict[str, Any]:
        """Train for two generator steps; see `answer`."""
        return self._answered({"overrides": overrides})

    def launches(self, case: str) -> dict[str, int]:
        """Launches of the hand-tuned loop and ours in a case of benchmarks/kernel_launches.py."""
        return self._answered({"case": case})

    def _answered(self, question: dict[str, Any]) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the process that was asked {question} is gone"
        answered: dict[str, Any] = json.loads(line)
        return answered

    def _started(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.pretended_gpu.training"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )
        return self.process

    def close(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(timeout=60)


def steps_on_gpu(config: Any) -> tuple[list[Counter[Any]], list[Counter[str]]]:
    """Train what ``config`` describes; events and launches of each step.

    A step lasts from the end of the one before to its own, so its data belong to it.
    """
    from lightning.pytorch import Callback

    from gan_zoo.config.build import build
    from tests.pretended_gpu.device import DEVICE, pretended_gpu

    events: list[Counter[Any]] = []
    launches: list[Counter[str]] = []

    class Steps(Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            recorder.clear()

        def on_train_batch_start(self, *_: Any) -> None:
            recorder.in_step = True

        def on_train_batch_end(self, *_: Any) -> None:
            recorder.in_step = False
            events.append(Counter(recorder.events))
            launches.append(Counter(recorder.launches))
            recorder.clear()

    trainer, module, data = build(config)
    trainer.strategy._root_device = DEVICE
    # Lightning's accelerator of CPUs refuses any other device.
    trainer.strategy.accelerator.setup_device = lambda device: None
    trainer.callbacks.append(Steps())
    with pretended_gpu() as recorder:
        trainer.fit(module, datamodule=data)
    return events, launches


def config_of(folder: Path, *overrides: str) -> Any:
    """The composed config of a quiet run."""
    from hydra import compose, initialize_config_dir

    from gan_zoo.core.paths import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [f"run_dir={folder / 'run'}", *QUIET, *overrides])


def answer(overrides: list[str]) -> dict[str, Any]:
    """Train for two steps of the generator.

    Returns:
        ``events`` of the last batch: kind, operation, place and number of times; or ``error`` with
        a traceback.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = config_of(Path(folder), *overrides)
            config.trainer.max_steps = 2 * config.loss.n_critic
            events, _ = steps_on_gpu(config)
        except Exception:
            return {"error": traceback.format_exc()}
    return {"events": [[*event, count] for event, count in events[-1].items()]}


def launches_of(case: str) -> dict[str, int]:
    """Launches by loop."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from kernel_launches import compared

    return {name: found.total() for name, found in compared(case, ("tuned", "ours")).items()}


def serve(questions: IO[str], answers: IO[str]) -> None:
    """Answer one question a line until there are no more."""
    for line in questions:
        question = json.loads(line)
        answered = launches_of(**question) if "case" in question else answer(**question)
        answers.write(json.dumps(answered) + "\n")
        answers.flush()


if __name__ == "__main__":
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    # Whatever trainings print goes elsewhere.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)
