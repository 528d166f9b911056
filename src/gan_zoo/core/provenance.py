"""What made a run."""

from __future__ import annotations

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
