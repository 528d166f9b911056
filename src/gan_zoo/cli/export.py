"""gan-zoo export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import Checkpoint, Device, RunPath, Trust, app, handle_errors


@app.command()
@handle_errors
def export(
    run: RunPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write ONNX files, checked against torch.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="Upload it to the Hugging Face hub.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Only for you, if --push makes it new.")
    ] = False,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Write a trained generator to give away: safetensors, JSON, a model card; gan_zoo.load(OUT)
    gives it back.
    """
    from gan_zoo.export import hub
    from gan_zoo.export import write as exporting
    from gan_zoo.inference.load import load_run

    # A name that cannot be pushed to is refused before anything is written.
    name = None if push is None else hub.check_push(push)
    typer.echo(exporting.export(load_run(run, checkpoint, device, trust), out, onnx=onnx))
    if name is not None:
        typer.echo(hub.push(out, name, private))
