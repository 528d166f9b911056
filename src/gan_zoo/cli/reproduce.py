"""gan-zoo reproduce"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import app, handle_errors
from gan_zoo.cli.recipes import RESULTS, Results


@app.command()
@handle_errors
def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A recipe, see gan-zoo recipes.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OVERRIDES]", help="Further ones, such as data.root=DIR."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs, with seeds from 0.", min=1)] = 3,
    jobs: Annotated[int, typer.Option(help="Side by side on this machine.", min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("outputs/recipes"),
    results: Results = RESULTS,
) -> None:
    """Train a recipe over seeds, go on with what is there, and write one row of results."""
    from gan_zoo.config.recipes import find_recipe
    from gan_zoo.launch.reproduce import measured
    from gan_zoo.launch.reproduce import reproduce as run_recipe

    recipe = find_recipe(name)
    row = run_recipe(recipe, seeds, out, overrides or [], jobs, results=results)
    typer.echo(f"published   {recipe.published}")
    typer.echo(f"ours        {measured(row)}")
    typer.echo(f"results     {results}")
