"""gan-zoo sample"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import Checkpoint, Device, OtherData, RunPath, Seed, Trust, app, guarded


@app.command()
@guarded
def sample(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="A PNG; of walks also .gif or .mp4; with --count a folder.")] = None,
    what: Annotated[str, typer.Option(help="grid, walk (--linear), traverse, arithmetic (--plus, --minus).")] = "grid",
    count: Annotated[int | None, typer.Option(help="Write so many single images.", min=1)] = None,
    size: Annotated[int, typer.Option(help="Samples in a grid.", min=1)] = 64,
    seed: Seed = 0,
    label: Annotated[str | None, typer.Option("--class", help="Ask for this class (name or number) or code.")] = None,
    caption: Annotated[str | None, typer.Option(help="Ask for this caption.")] = None,
    truncation: Annotated[float | None, typer.Option(help="Latents within +- so many deviations.")] = None,
    linear: Annotated[bool, typer.Option("--linear", help="Walk along straight lines.")] = False,
    plus: Annotated[str, typer.Option(help="Numbers of samples in the grid: 3,7.")] = "0,1",
    minus: Annotated[str, typer.Option(help="Numbers of samples in the grid.")] = "2",
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    other_data: OtherData = False,
    trust: Trust = False,
) -> None:
    """Draw from a trained generator: grids, walks between samples, code traversals, latent arithmetic, folders."""
    from gan_zoo.core.errors import DataError
    from gan_zoo.inference import sampling
    from gan_zoo.inference.load import load_run
    from gan_zoo.visualization.animation import FORMATS, animation
    from gan_zoo.visualization.image_grid import grid_of, save

    if what not in ("grid", "walk", "traverse", "arithmetic"):
        raise DataError(f"--what must be one of grid, walk, traverse, arithmetic, got {what!r}")
    if what != "grid" and truncation is not None:
        raise DataError(f"--truncation goes with grids and --count, got --what {what}")
    if what in ("traverse", "arithmetic") and (label is not None or caption is not None):
        raise DataError(f"--class and --caption go with grids, walks and --count, got --what {what}")
    loaded = load_run(run, checkpoint, device, trust, other_data)
    target = out or loaded.folder / "drawn" / (f"{count}-of-seed-{seed}" if count else f"{what}-{seed}.png")
    if count is not None:
        sampling.export_folder(loaded, target, count, seed, truncation, label=label, caption=caption)
    elif what == "grid":
        save(sampling.grid(loaded, size, seed, truncation, label=label, caption=caption), target)
    elif what == "arithmetic":
        save(grid_of(sampling.arithmetic(loaded, numbers(plus), numbers(minus), seed), 8), target)
    else:
        walk = sampling.interpolation_grid(loaded, seed, spherical=not linear, label=label, caption=caption)
        frames = walk if what == "walk" else sampling.traverse(loaded, seed)
        if target.suffix in FORMATS:
            animation(frames, target)
        else:
            save(grid_of(frames.flatten(0, 1), frames.shape[1]), target)
    typer.echo(target)


def numbers(text: str) -> list[int]:
    """``3,7`` as [3, 7]."""
    from gan_zoo.core.errors import ConfigError

    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--plus and --minus must be numbers like 3,7, got {text!r}") from None
