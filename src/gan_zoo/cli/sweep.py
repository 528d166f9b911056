"""gan-zoo sweep"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gan_zoo.cli.common import app, handle_errors

if TYPE_CHECKING:
    from gan_zoo.launch.search import Search


@app.command()
@handle_errors
def sweep(
    overrides: Annotated[
        list[str], typer.Argument(metavar="OVERRIDES", help="As for train; some of them vary.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; a study that is there goes on.")
    ] = None,
    trials: Annotated[int, typer.Option(help="How many there shall be in all.", min=1)] = 20,
    jobs: Annotated[int, typer.Option(help="Side by side on this machine.", min=1)] = 1,
    score: Annotated[
        str | None, typer.Option(help="What decides; default: the metric's first score.")
    ] = None,
    maximize: Annotated[
        bool, typer.Option("--maximize", help="More of --score is better.")
    ] = False,
    sampler: Annotated[str, typer.Option(help="tpe or random.")] = "tpe",
    prune: Annotated[
        bool, typer.Option(help="Give up trials that are worse than the median.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the sampler.", min=0)] = 0,
    storage: Annotated[
        str | None,
        typer.Option(help="A database that keeps the study under OUT's name: sqlite:///study.db."),
    ] = None,
    config_dir: Annotated[
        Path | None, typer.Option(help="A folder with configs of your own.")
    ] = None,
) -> None:
    """Search with Optuna: gan-zoo sweep loss=hinge,rpgan
    'optim.generator.lr=tag(log,interval(1e-5,1e-3))'.
    """
    from gan_zoo.launch.search import Search, default_objective
    from gan_zoo.launch.search_space import search_space_of

    # What varies, what decides, and where the trials go.
    space = search_space_of(overrides)
    default = default_objective(space, config_dir)
    objective = (score, maximize) if score else default
    target = out or Path("sweeps") / time.strftime("%Y-%m-%d_%H-%M-%S")
    search = Search(target, space, *objective, prune, sampler, seed, storage)

    # The table is printed even if the search is interrupted.
    arguments = ["--config-dir", str(config_dir)] if config_dir else []
    try:
        search.run(trials, jobs, arguments)
    finally:
        print_trials(search)
    typer.echo(f"{target}: all of it by gan-zoo compare {target}, the best again by")
    typer.echo(search.best_command(arguments) or "nothing, as no trial has finished")


def print_trials(search: Search) -> None:
    """A table of the trials so far, also of those that failed or were given up."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("trial", "state", escape(search.score), "values")
    for row in search.rows():
        table.add_row(*map(escape, row))
    Console().print(table)
