"""gan-zoo dashboard"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gan_zoo.cli.common import app, handle_errors


@app.command()
@handle_errors
def dashboard(
    project: Annotated[
        str, typer.Argument(metavar="[ENTITY/]PROJECT", help="Where the runs were logged.")
    ],
    name: Annotated[str, typer.Option(help="Of the workspace.")] = "gan_zoo",
    metric: Annotated[
        str, typer.Option(help="What runs are compared by: the first metric of a metric=.")
    ] = "fd_efficientnet_lite0",
    maximize: Annotated[bool, typer.Option("--maximize", help="More of it is better.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent, as JSON.")
    ] = False,
) -> None:
    """Make a workspace in Weights & Biases with charts of all that is logged, or update the one of
    this name.
    """
    from gan_zoo.loggers import dashboard as dashboards

    entity, project = dashboards.parse_project(project)
    # As it is called in a log or in a table: both are accepted.
    metric = metric.removeprefix("val/")
    workspace = dashboards.build_workspace(entity, project, name, metric, maximize)
    if dry_run:
        typer.echo(json.dumps(dashboards.specification(workspace), indent=2))
    else:
        typer.echo(dashboards.save_workspace(workspace))
