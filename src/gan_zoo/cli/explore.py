"""gan-zoo explore"""

from __future__ import annotations

from typing import Annotated

import typer

from gan_zoo.cli.common import Checkpoint, Device, RunPath, Trust, app, handle_errors


@app.command()
@handle_errors
def explore(
    run: RunPath,
    port: Annotated[
        int | None, typer.Option(help="Default: the first free one from 7860.", min=1, max=65535)
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Play with a trained model on a local web page: samples, directions, walks, translation, the
    run's curves.
    """
    from gan_zoo.inference.load import load_run

    loaded = load_run(run, checkpoint, device, trust)
    from gan_zoo.web.server import explore

    explore(loaded, port, browser)
