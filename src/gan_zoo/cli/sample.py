"""gan-zoo sample"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gan_zoo.cli.common import (
    Checkpoint,
    Device,
    OtherData,
    RunPath,
    Seed,
    Trust,
    app,
    handle_errors,
)

if TYPE_CHECKING:
    from torch import Tensor

    from gan_zoo.inference.model import LoadedModel


Out = Annotated[
    Path | None,
    typer.Option(help="A PNG; of walks also .gif or .mp4; with --count a folder or file."),
]
What = Annotated[
    str, typer.Option(help="grid, walk (--linear), traverse, arithmetic (--plus, --minus), mix.")
]
Count = Annotated[int | None, typer.Option(help="Write so many single samples.", min=1)]
Size = Annotated[int, typer.Option(help="Samples in a grid.", min=1)]
ClassName = Annotated[
    str | None, typer.Option("--class", help="This class (name or number) or code.")
]
Caption = Annotated[str | None, typer.Option(help="This caption.")]
Truncation = Annotated[float | None, typer.Option(help="Latents within +- so many deviations.")]
Psi = Annotated[
    float | None, typer.Option(help="Styles at psi times their distance from the mean style.")
]
Coarse = Annotated[int | None, typer.Option(help="With mix, how many styles come from the rows.")]
Linear = Annotated[bool, typer.Option("--linear", help="Walk along straight lines.")]
Space = Annotated[str, typer.Option(help="Walk in latents z or, straight, in styles w.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="With --count, rows of a table that are so: job=teacher, age>=30. Repeatable."
    ),
]
Plus = Annotated[str, typer.Option(help="Numbers of samples in the grid: 3,7.")]
Minus = Annotated[str, typer.Option(help="Numbers of samples in the grid.")]


@app.command()
@handle_errors
def sample(
    run: RunPath,
    out: Out = None,
    what: What = "grid",
    count: Count = None,
    size: Size = 64,
    seed: Seed = 0,
    label: ClassName = None,
    caption: Caption = None,
    where: Where = None,
    truncation: Truncation = None,
    psi: Psi = None,
    coarse: Coarse = None,
    linear: Linear = False,
    space: Space = "z",
    plus: Plus = "0,1",
    minus: Minus = "2",
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    other_data: OtherData = False,
    trust: Trust = False,
) -> None:
    """Draw from a trained generator: grids, walks between samples, code traversals, latent
    arithmetic, folders.
    """
    from gan_zoo.inference.load import load_run

    # Single samples, rows, or what was asked for; options without effect on it are refused.
    check_kind(what, count, where)
    kind = what if count is None else "rows" if where else "samples"
    options: dict[str, Any] = {"truncation": truncation, "psi": psi, "coarse": coarse}
    options |= {"space": None if space == "z" else space, "linear": linear or None}
    options |= {"class": label, "caption": caption}
    check_options(kind, options)

    # The model, and where the result goes.
    loaded = load_run(run, checkpoint, device, trust, other_data)
    options["where"] = ",".join(where) if where else None
    target = out or default_target(loaded, what, count, seed, options)

    # Drawn with those of the options that the kind takes.
    given: dict[str, Any] = {"label": label, "caption": caption, "count": count, "where": where}
    given |= {"size": size, "truncation": truncation, "psi": psi, "coarse": coarse}
    given |= {"linear": linear, "space": space, "plus": plus, "minus": minus}
    write, takes = WRITERS[kind]
    write(loaded, target, seed, **{name: given[name] for name in takes})
    typer.echo(target)


def default_target(
    run: LoadedModel, what: str, count: int | None, seed: int, options: dict[str, Any]
) -> Path:
    """In the run's folder ``drawn``; single samples in a folder, or in a file of their kind."""
    target = run.folder / "drawn" / file_name(what, count, seed, options)
    return target if count is None else target.with_name(target.name + run.sample_kind.suffix)


def file_name(what: str, count: int | None, seed: int, options: dict[str, Any]) -> str:
    """Where samples go by default: different requests have different names."""
    given = [
        f"{name}-{re.sub(r'[^a-zA-Z0-9.]+', '-', str(value)).strip('-')}"
        for name, value in options.items()
        if value is not None
    ]
    first = f"{count}-of-seed-{seed}" if count else what
    return "-".join([first, *given]) if count else "-".join([first, *given, f"{seed}.png"])


def write_folder(run: LoadedModel, target: Path, seed: int, count: int, **options: Any) -> None:
    """Single samples: images in a folder, others in a file."""
    from gan_zoo.inference.sampling import write_samples

    write_samples(run, target, count, seed, **options)


def write_table(run: LoadedModel, target: Path, seed: int, **options: Any) -> None:
    """Rows of a table that meet conditions."""
    from gan_zoo.inference.rows_on_request import write_rows

    write_rows(run, target, seed=seed, **options)


def write_grid(run: LoadedModel, target: Path, seed: int, size: int, **options: Any) -> None:
    """A grid of samples."""
    from gan_zoo.inference.sampling import grid
    from gan_zoo.visualization.image_grid import save

    save(grid(run, size, seed, **options), target)


def write_mixing(run: LoadedModel, target: Path, seed: int, **options: Any) -> None:
    """A table of mixed styles."""
    from gan_zoo.data.image_tensors import grid_of
    from gan_zoo.inference.sampling import mixing_grid
    from gan_zoo.visualization.image_grid import save

    save(grid_of(mixing_grid(run, seed, **options), 7), target)


def write_arithmetic(run: LoadedModel, target: Path, seed: int, plus: str, minus: str) -> None:
    """Samples, and that of the sum of their latents."""
    from gan_zoo.data.image_tensors import grid_of
    from gan_zoo.inference.sampling import arithmetic
    from gan_zoo.visualization.image_grid import save

    samples = arithmetic(run, parse_indices(plus), parse_indices(minus), seed)
    save(grid_of(samples, 8), target)


def write_walk(
    run: LoadedModel, target: Path, seed: int, linear: bool, space: str, **options: Any
) -> None:
    """Walks between pairs of samples."""
    from gan_zoo.inference.sampling import interpolation_grid

    frames = interpolation_grid(run, seed, spherical=not linear, space=space, **options)
    write_frames(frames, target)


def write_traversal(run: LoadedModel, target: Path, seed: int) -> None:
    """Traversals of the continuous codes."""
    from gan_zoo.inference.sampling import traverse

    write_frames(traverse(run, seed), target)


def write_frames(frames: Tensor, target: Path) -> None:
    """Rows of frames ``[rows, steps, C, H, W]`` as an animation, or as a grid for a PNG."""
    from gan_zoo.data.image_tensors import grid_of
    from gan_zoo.visualization.animation import FORMATS, animation
    from gan_zoo.visualization.image_grid import save

    if target.suffix in FORMATS:
        animation(frames, target)
    else:
        save(grid_of(frames.flatten(0, 1), frames.shape[1]), target)


WRITERS: Mapping[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "grid": (write_grid, ("size", "truncation", "psi", "label", "caption")),
    "walk": (write_walk, ("linear", "space", "label", "caption")),
    "traverse": (write_traversal, ()),
    "arithmetic": (write_arithmetic, ("plus", "minus")),
    "mix": (write_mixing, ("coarse", "psi", "label", "caption")),
    "samples": (write_folder, ("count", "truncation", "psi", "label", "caption")),
    "rows": (write_table, ("count", "where")),
}
"""For each kind, and for single samples and rows, what draws it and the options that it takes."""
KINDS = tuple(kind for kind in WRITERS if kind not in ("samples", "rows"))


def check_kind(what: str, count: int | None, where: list[str] | None) -> None:
    """Raise `DataError` for an unknown ``what``, or where ``count`` and ``where`` do not go with
    it.
    """
    from gan_zoo.core.errors import DataError

    if what not in KINDS:
        raise DataError(f"--what must be one of {', '.join(KINDS)}, got {what!r}")
    if count is not None and what != "grid":
        raise DataError(f"--count writes single samples, leave out --what {what}")
    if where and count is None:
        raise DataError("--where needs --count, the number of rows")


def check_options(kind: str, options: Mapping[str, object]) -> None:
    """Raise `DataError` for an option that is given and has no effect on ``kind``."""
    from gan_zoo.core.errors import DataError

    words = {"samples": "--count", "rows": "--where"}
    words = {known: words.get(known, f"--what {known}") for known in WRITERS}
    for name, value in options.items():
        argument = "label" if name == "class" else name
        kinds = [known for known, (_, takes) in WRITERS.items() if argument in takes]
        if value is not None and kind not in kinds:
            allowed = ", ".join(words[known] for known in kinds)
            raise DataError(f"--{name} goes with {allowed}, got {words[kind]}")


def parse_indices(text: str) -> list[int]:
    """``3,7`` as [3, 7]."""
    from gan_zoo.core.errors import ConfigError

    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--plus and --minus must be numbers like 3,7, got {text!r}") from None
