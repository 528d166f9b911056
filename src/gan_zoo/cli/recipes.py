"""gan-zoo recipes"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gan_zoo.cli.common import app, handle_errors

if TYPE_CHECKING:
    from gan_zoo.config.recipes import Recipe

RESULTS = Path("experiments/recipes/results.jsonl")  # from the checkout's folder
Results = Annotated[Path, typer.Option(help="The file that gan-zoo reproduce writes.")]


@app.command()
@handle_errors
def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One recipe, in full.")
    ] = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Also what NAME sets in addition to its choices."),
    ] = False,
    results: Results = RESULTS,
) -> None:
    """List the papers' recipes, experiment=NAME: data, published values, and ours."""
    from gan_zoo.config.recipes import find_recipe
    from gan_zoo.core.errors import ConfigError

    if name is not None:
        show(find_recipe(name), diff, results)
    elif diff:
        raise ConfigError("--diff needs a NAME: gan-zoo recipes sngan_cifar10 --diff")
    else:
        list_all(results)


def list_all(results: Path) -> None:
    """One line for each recipe."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gan_zoo.config.recipes import recipes as all_recipes
    from gan_zoo.launch.reproduce import measured_in_brief, nearest, read_rows

    # Our best results so far, by the name of the recipe.
    ours = {name: measured_in_brief(row) for name, row in nearest(read_rows(results)).items()}
    missing = "not run" if results.is_file() else ""
    table = Table()
    table.add_column("experiment=", no_wrap=True)
    for header, share in (("data", 2), ("published", 3), ("ours", 4)):
        table.add_column(header, overflow="fold", ratio=share)

    # Escaped, as rich would read brackets in a published value as markup.
    for recipe in all_recipes():
        cells = (recipe.name, recipe.data, recipe.published, ours.get(recipe.name, missing))
        table.add_row(*map(escape, cells))
    Console().print(table)
    typer.echo("gan-zoo recipes NAME: all of a recipe, and with which overrides ours were measured")
    if not results.is_file():
        typer.echo(f"no results of ours: there is no file {results} (--results)", err=True)


def show(recipe: Recipe, diff: bool, results: Path) -> None:
    """All that is known of a recipe."""
    from dataclasses import asdict

    from gan_zoo.config.recipes import differences
    from gan_zoo.launch.reproduce import measured, read_rows

    about = asdict(recipe)
    for key, value in about.items():
        typer.echo(f"{key:<12}{value}")
    for row in read_rows(results):
        if row["recipe"] == about["name"]:
            made = f"{row['hardware']}, {row['date']}"
            typer.echo(f"{'ours':<12}{measured(row)}, {made}")

    # What sets it apart from its choices with their defaults.
    if diff:
        typer.echo("")
        for key, (default, value) in differences(about["name"]).items():
            typer.echo(f"{key}: {default} -> {value}")
