"""gan-zoo translate"""

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
def translate(
    run: RunPath,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder of images.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="Where the translations go, under the same names.")
    ],
    direction: Annotated[
        str, typer.Option(help="forward or backward (CycleGAN, UNIT, MUNIT).")
    ] = "forward",
    full_size: Annotated[
        bool, typer.Option("--full-size", help="Do not resize to the training size.")
    ] = False,
    num_outputs: Annotated[
        int,
        typer.Option(
            "--num-outputs",
            min=1,
            help="Translations of each image (BicycleGAN, MUNIT, StarGAN v2).",
        ),
    ] = 1,
    label: Annotated[
        str | None, typer.Option("--class", help="The class to translate to (StarGAN, StarGAN v2).")
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option("--target", help="A folder of true outputs of the same names, to show."),
    ] = None,
    tile: Annotated[
        int, typer.Option(help="Larger images are translated in overlapping tiles of this side.")
    ] = 1024,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Send a folder of images through a trained translation model; OUT/index.html shows them."""
    from gan_zoo.core.errors import DataError
    from gan_zoo.inference.load import load_run
    from gan_zoo.inference.translate import translate_folder
    from gan_zoo.reports.translation_gallery import write_gallery

    if targets is not None and not targets.is_dir():
        raise DataError(f"--target must be a folder of images, got {str(targets)!r}")
    loaded = load_run(run, checkpoint, device, trust)
    written, failed = translate_folder(
        loaded, source, target, direction, full_size, num_outputs, label, tile
    )
    page = write_gallery(written, target, targets)
    typer.echo(f"{len(written)} images in {target}, shown in {page}")
    exit_if_failed(failed, len(written) + len(failed))
