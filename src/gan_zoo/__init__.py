"""gan_zoo: a research framework for GAN variants."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def load(folder: str, **options: Any) -> Any:
    """The generators of an export or a run: ``gan_zoo.load(folder).sample(16, seed=0)``; `gan_zoo.runs.load_run`."""
    from gan_zoo.runs import load_run

    return load_run(folder, **options)
