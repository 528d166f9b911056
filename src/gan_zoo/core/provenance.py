"""What made a run."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("gan-zoo", "torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "numpy")


def provenance() -> dict[str, str]:
    """Versions of Python and the packages that move numbers, and the git commit of the code if it
    is a checkout.
    """
    made_by = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    commit = _git_commit()
    return made_by | ({"git_commit": commit} if commit else {})


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def hardware() -> str:
    """The GPUs of this machine by name, else its processor and the number of its cores."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        return f"{len(names)} x {names[0]}"
    return f"{processor()}, {os.cpu_count()} cores"


def processor() -> str:
    """The processor's name where Linux knows it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
