"""gan-zoo translate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import Checkpoint, Device, RunPath, Trust, app, handle_errors


@app.command()
@handle_errors
def translate(
    run: RunPath,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder of images.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="Where the translations go, under the same names.")
    ],
    direction: Annotated[str, typer.Option(help="forward or backward (CycleGAN).")] = "forward",
    full_size: Annotated[
        bool, typer.Option("--full-size", help="Do not resize to the training size.")
    ] = False,
    num_outputs: Annotated[
        int, typer.Option("--num-outputs", min=1, help="Translations of each image (BicycleGAN).")
    ] = 1,
    label: Annotated[
        str | None, typer.Option("--class", help="The class to translate to (StarGAN).")
    ] = None,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Send a folder of images through a trained translation model."""
    from gan_zoo.inference.load import load_run
    from gan_zoo.inference.translate import format_failures, translate_folder

    loaded = load_run(run, checkpoint, device, trust)
    written, failed = translate_folder(
        loaded, source, target, direction, full_size, num_outputs, label
    )
    typer.echo(f"{written} images in {target}")
    if failed:
        for line in format_failures(failed, written + len(failed)):
            typer.echo(line, err=True)
        raise typer.Exit(1)
