"""Real runs in real processes, to be killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests import processes

ROOT = Path(__file__).parents[2]
SPARE = (
    "callbacks.progress=null",
    "callbacks.samples.every_images=0",
    "callbacks.samples.count=4",
    "trainer=cpu",
)
SMALL = ("generator.width=8", "discriminator.width=8", "trainer.log_every_n_steps=4", *SPARE)
PRESETS = {
    "dcgan": ("data=digits", "metric=none", "regularizer=[r1]", "augment=ada", *SMALL),
    "cgan": ("model=cgan", "data=digits", "metric=none", *SMALL),
    "cyclegan": (
        "model=cyclegan",
        "metric=none",
        "generator.blocks=1",
        "data.image_size=32",
        "model.pool_size=5",
        *SMALL,
    ),
    "gan": ("model=gan", "data=ring", "generator.width=32", "discriminator.width=32", *SMALL[2:]),
}
BATCH = {"dcgan": 16, "cgan": 16, "cyclegan": 2, "gan": 32}


def overrides(preset: str, steps: int, every: int) -> list[str]:
    """A run of ``steps`` batches that saves after every ``every``."""
    batch = BATCH[preset]
    saving = f"callbacks.checkpoints.every_images={every * batch}"
    return [*PRESETS[preset], f"data.batch_size={batch}", f"trainer.max_steps={steps}", saving]


def start(
    arguments: Sequence[str], cwd: Path, launcher: Sequence[str] = (), **environment: str
) -> subprocess.Popen[str]:
    """``train.py`` with these arguments, in a session of its own."""
    settings = (
        os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TERM": "dumb"} | environment
    )
    line = [*(launcher or [sys.executable]), str(ROOT / "train.py"), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=cwd, env=settings, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload,no-any-return]


def finish(
    arguments: Sequence[str], cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """``train.py`` with these arguments, until it ends."""
    settings = {"OMP_NUM_THREADS": "1", "TERM": "dumb"} | environment
    return processes.train(*arguments, cwd=cwd, **settings)


def wait_for(
    run: Path, checkpoints: int, process: subprocess.Popen[str], patience: float = 120
) -> None:
    """Until the run has written so many checkpoints, or ended."""
    until = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < until:
        manifest = run / "checkpoints" / "manifest.json"
        if manifest.exists() and json.loads(manifest.read_text())["checkpoints"]:
            newest = json.loads(manifest.read_text())["checkpoints"][-1]["step"]
            if newest >= checkpoints:
                return
        time.sleep(0.01)


def kill_session(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Send a signal to a run and all its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def weights_hash(run: Path) -> str:
    """A hash over every bit of the final state but the time it took."""
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
    digest = hashlib.sha256()

    def feed(value: object) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                digest.update(str(key).encode())
                feed(value[key])
        elif isinstance(value, (list, tuple)):
            for item in value:
                feed(item)
        else:
            digest.update(repr(value).encode())

    clock = {key: value for key, value in saved["gan_zoo"]["clock"].items() if key != "seconds"}
    feed(
        [
            saved["state_dict"],
            saved["optimizer_states"],
            saved["callbacks"],
            saved["global_step"],
            clock,
        ]
    )
    return digest.hexdigest()


@dataclass
class Tally:
    """What was tried and what survived, by kind of fault."""

    tried: dict[str, int] = field(default_factory=dict)
    survived: dict[str, int] = field(default_factory=dict)

    def count(self, kind: str, survived: bool) -> None:
        self.tried[kind] = self.tried.get(kind, 0) + 1
        self.survived[kind] = self.survived.get(kind, 0) + survived

    def table(self) -> str:
        width = max(map(len, self.tried), default=0)
        lines = [f"{'fault':<{width}}  tried  survived  lost"]
        for kind, tried in self.tried.items():
            lines.append(
                f"{kind:<{width}}  {tried:5}  {self.survived[kind]:8}  {tried - self.survived[kind]:4}"
            )
        total, good = sum(self.tried.values()), sum(self.survived.values())
        return "\n".join([*lines, f"{'all':<{width}}  {total:5}  {good:8}  {total - good:4}"])


def moments(count: int, seconds: float, seed: int) -> list[float]:
    """Random moments of a run that lasts so long."""
    chance = random.Random(seed)
    return [chance.uniform(0.0, seconds) for _ in range(count)]
