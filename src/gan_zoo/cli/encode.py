"""gan-zoo encode"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import (
    Checkpoint,
    Device,
    RunPath,
    Trust,
    app,
    exit_if_failed,
    handle_errors,
)


@app.command()
@handle_errors
def encode(
    run: RunPath,
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of images.")],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Where latents.npy, names.txt and reconstructions go."),
    ],
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Latents and reconstructions of a folder of images, by a model with an encoder."""
    from gan_zoo.inference.encode import encode_folder
    from gan_zoo.inference.load import load_run

    count, failed = encode_folder(load_run(run, checkpoint, device, trust), source, target)
    typer.echo(f"latents and reconstructions of {count} images in {target}")
    exit_if_failed(failed, count + len(failed))
