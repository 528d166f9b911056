"""Programs that log to a server of Weights & Biases, and what it holds afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TINY = ("data=digits", "trainer=cpu", "data.batch_size=16", "callbacks.evaluation.num_samples=64")
QUICK = (
    *TINY,
    "extractor.image_size=32",
    "trainer.log_every_n_steps=5",
    "trainer.max_steps=10",
    "callbacks.samples.every_images=0",
    "logger=wandb",
)
KEY = "local" + "0" * 40


def settings(server: str, **environment: str) -> dict[str, str]:
    """The environment of a program that logs to ``server``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    own = {"WANDB_BASE_URL": server, "WANDB_API_KEY": KEY, "PYTHONPATH": str(ROOT / "src")}
    return kept | own | environment


def run(server: str, cwd: Path, *line: str, **environment: str) -> str:
    """What Python prints for the arguments ``line``; it must succeed."""
    done = subprocess.run(
        [sys.executable, *line],
        cwd=cwd,
        env=settings(server, **environment),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def get(server: str, path: str) -> Any:
    """The answer of the server's API."""
    with urllib.request.urlopen(f"{server}/{path}") as answer:
        return json.load(answer)


def runs(server: str, project: str) -> list[dict[str, Any]]:
    """All runs of a project."""
    found: list[dict[str, Any]] = get(server, f"api/v2/projects/default/{project}/runs")["runs"]
    return found
