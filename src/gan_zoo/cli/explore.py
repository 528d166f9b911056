"""gan-zoo explore"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import Checkpoint, Device, Trust, app, handle_errors


@app.command()
@handle_errors
def explore(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN", help="A run folder, a checkpoint, an export, or a folder of many runs."
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Instead of RUN, the digits that gan_zoo brings along.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(help="Default: the first free one from 7860.", min=1, max=65535)
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Play with a trained model on a local web page: samples, directions, walks, translation, the
    run's curves. For a folder of many runs, two models side by side and their comparison.
    """
    from functools import partial

    from gan_zoo.core.errors import ConfigError
    from gan_zoo.core.paths import DEMO
    from gan_zoo.inference.load import load_run
    from gan_zoo.runs.folder import RunFolder

    if (run is None) != demo:
        raise ConfigError(f"explore takes RUN or --demo, got {'both' if demo else 'neither'}")

    # A folder with many runs has a page of its own.
    load = partial(load_run, checkpoint=checkpoint, device=device, trust=trust)
    if run is not None and len(RunFolder.find_below(run)) > 1:
        from gan_zoo.web.many_runs import app_of_runs

        page = app_of_runs(run, load)
    else:
        loaded = load(run or DEMO)
        from gan_zoo.web.server import app as app_of_run

        page = app_of_run(loaded)

    from gan_zoo.web.server import serve

    serve(page, port, browser)
