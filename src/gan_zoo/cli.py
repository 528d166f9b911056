"""The command ``gan-zoo``."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A research framework for GAN variants.")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.callback()
def _root() -> None:
    """A research framework for GAN variants."""


@app.command(context_settings=PASS_ON)
def train(context: typer.Context) -> None:
    """Compose a GAN and train it: gan-zoo train [overrides], the same as python train.py."""
    from gan_zoo import run

    # Hydra, and processes that are started for further ranks, read the command from sys.argv.
    sys.argv = [str(Path(run.__file__)), *context.args]
    run.main()


def main() -> None:
    """The entry point."""
    app()


if __name__ == "__main__":
    main()
