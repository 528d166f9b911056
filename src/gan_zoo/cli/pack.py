"""gan-zoo pack"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gan_zoo.cli.common import app, handle_errors

if TYPE_CHECKING:
    from gan_zoo.data.files.pack import Packed


@app.command()
@handle_errors
def pack(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Images; or, with --check alone, packed ones."),
    ],
    out: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="Where the shards go.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Resize short sides to this, crop centers.")
    ] = None,
    quality: Annotated[
        int | None, typer.Option(help="Encode as JPEG; without it nothing is lost.")
    ] = None,
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Black and white of more than 8 bits, if the format has none.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    shard_images: Annotated[int, typer.Option(help="Images of a shard.")] = 2000,
    check: Annotated[
        bool, typer.Option("--check", help="Compare all shards with their hashes.")
    ] = False,
) -> None:
    """Pack a folder of images into shards for data=streaming; a second call continues."""
    from gan_zoo.core.errors import DataError

    if out is None and not check:
        raise DataError("OUT is missing: gan-zoo pack FOLDER OUT; only --check works without it")

    # Pack, check, or both.
    if out is not None:
        from gan_zoo.data.files.pack import Encoding
        from gan_zoo.data.files.pack import pack as pack_folder

        report(
            pack_folder(folder, out, Encoding(size, quality, value_range), jobs, shard_images), out
        )
    if check:
        verify(out or folder)


def report(packed: Packed, out: Path) -> None:
    """Print what was packed, and on stderr a line for each file that was left out."""
    manifest = packed.manifest
    for line in manifest.left_out:
        typer.echo(f"left out: {line}", err=True)
    total = sum(shard.bytes for shard in manifest.shards)
    of_classes = "" if manifest.classes is None else f" of {len(manifest.classes)} classes"
    state = f"{packed.written} written now" if packed.written else "complete before"
    typer.echo(
        f"{out}: {manifest.images:,} images{of_classes} in {len(manifest.shards)} shards"
        f" ({state}), {total / 1e6:,.1f} MB, {len(manifest.left_out)} files left out"
    )


def verify(out: Path) -> None:
    """Print whether all files of a packed folder are whole; exit with 1 if not."""
    from gan_zoo.data.files.shard_manifest import check_shards

    complaints = check_shards(out)
    for line in complaints:
        typer.echo(f"error: {line}", err=True)
    if complaints:
        raise typer.Exit(1)
    typer.echo(f"{out}: all files have their hashes")
