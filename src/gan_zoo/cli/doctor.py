"""gan-zoo doctor"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import app, handle_errors


@app.command()
@handle_errors
def doctor(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with a metrics.csv.")],
) -> None:
    """Say what went wrong with a run, since when, and which override to try; exit code 0 either
    way.
    """
    from gan_zoo.core.errors import ConfigError
    from gan_zoo.diagnostics.from_log import diagnose_run, summarize_findings
    from gan_zoo.runs.folder import RunFolder

    folder = RunFolder(run)
    if not folder.log.is_file():
        missing = "has no metrics.csv: nothing was logged" if run.is_dir() else "does not exist"
        raise ConfigError(f"RUN must be a run folder, got {str(run)!r}, which {missing}")
    # All that was found, also what is over.
    history, findings = diagnose_run(folder)
    for finding in findings:
        typer.echo(f"{finding}{'' if finding.ongoing else ' (later no more)'}")
    if not findings:
        typer.echo(summarize_findings(history, findings))
