"""The command ``gan-zoo``."""

from __future__ import annotations

from gan_zoo.cli import (  # noqa: F401
    compare,
    dashboard,
    doctor,
    encode,
    evaluate,
    explore,
    export,
    import_weights,
    pack,
    project,
    recipes,
    reproduce,
    sample,
    sweep,
    train,
    translate,
)
from gan_zoo.cli.common import app
from gan_zoo.core.output import never_blocking

__all__ = ["app", "main"]


@app.callback()
def _root() -> None:
    """A research framework for GAN variants."""


def main() -> None:
    """The entry point; whether anybody reads the output does not matter."""
    never_blocking()
    app()


if __name__ == "__main__":
    main()
