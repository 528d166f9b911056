"""gan-zoo sample"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gan_zoo.cli.common import Checkpoint, Device, OtherData, RunPath, Seed, Trust, app, handle_errors


@app.command()
@handle_errors
def sample(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="A PNG; of walks also .gif or .mp4; with --count a folder.")] = None,
    what: Annotated[
        str, typer.Option(help="grid, walk (--linear), traverse, arithmetic (--plus, --minus), mix.")
    ] = "grid",
    count: Annotated[int | None, typer.Option(help="Write so many single images.", min=1)] = None,
    size: Annotated[int, typer.Option(help="Samples in a grid.", min=1)] = 64,
    seed: Seed = 0,
    label: Annotated[str | None, typer.Option("--class", help="Ask for this class (name or number) or code.")] = None,
    caption: Annotated[str | None, typer.Option(help="Ask for this caption.")] = None,
    truncation: Annotated[float | None, typer.Option(help="Latents within +- so many deviations.")] = None,
    psi: Annotated[float | None, typer.Option(help="Styles at psi times their distance from the mean style.")] = None,
    coarse: Annotated[int | None, typer.Option(help="With mix, how many styles come from the rows.")] = None,
    linear: Annotated[bool, typer.Option("--linear", help="Walk along straight lines.")] = False,
    space: Annotated[str, typer.Option(help="Walk in latents z or, straight, in styles w.")] = "z",
    plus: Annotated[str, typer.Option(help="Numbers of samples in the grid: 3,7.")] = "0,1",
    minus: Annotated[str, typer.Option(help="Numbers of samples in the grid.")] = "2",
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    other_data: OtherData = False,
    trust: Trust = False,
) -> None:
    """Draw from a trained generator: grids, walks between samples, code traversals, latent arithmetic, folders."""
    from gan_zoo.inference import sampling
    from gan_zoo.inference.load import load_run
    from gan_zoo.visualization.animation import FORMATS, animation
    from gan_zoo.visualization.image_grid import grid_of, save

    walks_in = None if space == "z" else space
    options = {"truncation": truncation, "psi": psi, "coarse": coarse, "space": walks_in}
    check_options(what, options | {"class": label, "caption": caption})
    asked: dict[str, Any] = {"label": label, "caption": caption}
    loaded = load_run(run, checkpoint, device, trust, other_data)
    target = out or loaded.folder / "drawn" / (f"{count}-of-seed-{seed}" if count else f"{what}-{seed}.png")
    if count is not None:
        sampling.export_folder(loaded, target, count, seed, truncation, psi, **asked)
    elif what == "grid":
        save(sampling.grid(loaded, size, seed, truncation, psi, **asked), target)
    elif what == "mix":
        save(grid_of(sampling.mixing_grid(loaded, seed, coarse=coarse, psi=psi, **asked), 7), target)
    elif what == "arithmetic":
        save(grid_of(sampling.arithmetic(loaded, parse_indices(plus), parse_indices(minus), seed), 8), target)
    else:
        if what == "walk":
            frames = sampling.interpolation_grid(loaded, seed, spherical=not linear, space=space, **asked)
        else:
            frames = sampling.traverse(loaded, seed)
        if target.suffix in FORMATS:
            animation(frames, target)
        else:
            save(grid_of(frames.flatten(0, 1), frames.shape[1]), target)
    typer.echo(target)


KINDS = ("grid", "walk", "traverse", "arithmetic", "mix")
GO_WITH = {
    "truncation": (("grid",), "grids and --count"),
    "psi": (("grid", "mix"), "grids, mix and --count"),
    "coarse": (("mix",), "mix"),
    "space": (("walk",), "walks"),
    "class": (("grid", "walk", "mix"), "grids, walks, mix and --count"),
    "caption": (("grid", "walk", "mix"), "grids, walks, mix and --count"),
}
"""For each option the values of --what that it goes with, and in words."""


def check_options(what: str, options: Mapping[str, object]) -> None:
    """Raise `DataError` for an unknown ``what``, or an option that is given and has no effect on it."""
    from gan_zoo.core.errors import DataError

    if what not in KINDS:
        raise DataError(f"--what must be one of {', '.join(KINDS)}, got {what!r}")
    for name, value in options.items():
        kinds, words = GO_WITH[name]
        if value is not None and what not in kinds:
            raise DataError(f"--{name} goes with {words}, got --what {what}")


def parse_indices(text: str) -> list[int]:
    """``3,7`` as [3, 7]."""
    from gan_zoo.core.errors import ConfigError

    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--plus and --minus must be numbers like 3,7, got {text!r}") from None
