"""gan-zoo compare"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import app, handle_errors


@app.command()
@handle_errors
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders with runs in them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Also write a .html, .md or .csv file, by its ending.")
    ] = None,
) -> None:
    """Put many runs into one table: means, spreads, failures, speed, the doctor's word, with --out
    as a file.
    """
    from gan_zoo.reports import comparison as comparing
    from gan_zoo.reports import comparison_files as comparing_files

    groups = comparing.group_by_settings(comparing.find_runs(folders))
    # Rendered first: an unknown suffix fails before the table is printed.
    text = None if out is None else comparing_files.render(groups, out.suffix)
    header, rows = comparing.table_rows(groups)

    print_rows(header, rows)
    if out is not None and text is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
        typer.echo(out)


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or where the terminal is too narrow for its words, a list for each row."""
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement
    from rich.table import Table

    # Names may hold brackets, which rich would take for markup.
    console = Console()
    table = Table()
    for name in header:
        table.add_column(escape(name), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    unlimited = console.options.update(max_width=10_000)
    if Measurement.get(console, unlimited, table).minimum <= console.width:
        console.print(table)
        return

    # The first column is a row's title.
    for title, *values in rows:
        console.print(f"[bold]{escape(title)}[/bold]")
        listed = Table.grid(padding=(0, 2))
        for name, value in zip(header[1:], values, strict=True):
            if value:
                listed.add_row("", escape(name), escape(value))
        console.print(listed)
