"""gan-zoo import-weights"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import app, handle_errors


@app.command("import-weights")
@handle_errors
def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A generator, latest_net_G.pth.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The run folder to write.")],
    backward: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CycleGAN's generator from B to A.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="cyclegan or pix2pix; by default as the network tells.")
    ] = None,
    image_size: Annotated[int, typer.Option(min=8, help="Side of the images in pixels.")] = 256,
) -> None:
    """Make a run of generator weights that pytorch-CycleGAN-and-pix2pix released."""
    from gan_zoo.inference.import_weights import import_weights as import_files

    files = [file] if backward is None else [file, backward]
    typer.echo(import_files(files, out, model, image_size))
