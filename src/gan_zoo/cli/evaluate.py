"""gan-zoo evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import Checkpoint, Device, OtherData, Trust, app, handle_errors


@app.command()
@handle_errors
def evaluate(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="A run folder, or a checkpoint file.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[metric=...] [extractor=...]")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Score this folder of images instead of a run.")
    ] = None,
    against: Annotated[Path | None, typer.Option(help="The folder of real images.")] = None,
    num_samples: Annotated[
        int | None, typer.Option(help="Generated for every score.", min=2)
    ] = None,
    image_size: Annotated[int, typer.Option(help="Of --folder and --against.", min=8)] = 64,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    other_data: OtherData = False,
    trust: Trust = False,
) -> None:
    """Score a finished run (EMA weights, into its metrics.json), or one folder of images against
    another.
    """
    from gan_zoo.core.errors import ConfigError
    from gan_zoo.inference.evaluate import evaluate_run, format_table
    from gan_zoo.inference.evaluate_folders import compare_folders

    if folder is not None or against is not None:
        # Without a run, its place holds the first override.
        chosen = [*([str(run)] if run is not None else []), *(overrides or [])]
        scores = compare_folders(folder, against, chosen, num_samples, image_size, device)
    elif run is None:
        raise ConfigError("RUN, or --folder and --against, must be given")
    else:
        scores = evaluate_run(
            run, overrides or [], num_samples, checkpoint, trust, device, other_data
        )
    for line in format_table(scores):
        typer.echo(line)
