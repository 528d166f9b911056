"""gan-zoo train"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from gan_zoo.cli.common import PASS_THROUGH, app


@app.command(context_settings=PASS_THROUGH)
def train(context: typer.Context) -> None:
    """Compose a GAN and train it: gan-zoo train [overrides], the same as python train.py."""
    from gan_zoo.launch import main as run

    # Hydra, and processes that are started for further ranks, read the command from sys.argv.
    sys.argv = [str(Path(run.__file__)), *context.args]
    run.main()
