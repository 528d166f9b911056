"""gan-zoo project"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_zoo.cli.common import Checkpoint, Device, RunPath, Seed, Trust, app, handle_errors


@app.command()
@handle_errors
def project(
    run: RunPath,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    out: Annotated[
        Path,
        typer.Option(help="Where latents.npy, names.txt, reconstructions and images of them go."),
    ],
    label: Annotated[
        str | None, typer.Option("--class", help="The class of the samples; default: try all.")
    ] = None,
    space: Annotated[
        str, typer.Option(help="z, w or auto: w for generators with a mapping.")
    ] = "auto",
    steps: Annotated[int, typer.Option(help="Steps of the search.", min=1)] = 300,
    starts: Annotated[int, typer.Option(help="Searches side by side.", min=1)] = 4,
    lr: Annotated[float, typer.Option(help="Largest rate of a step.")] = 0.1,
    seed: Seed = 0,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Find latents whose samples are like given images (GAN inversion); of two images also a walk
    between them.
    """
    from gan_zoo.inference.load import load_run
    from gan_zoo.inference.project import project_images

    loaded = load_run(run, checkpoint, device, trust)
    options = {"space": space, "steps": steps, "starts": starts, "lr": lr, "seed": seed}
    found = project_images(loaded, images, out, label, **options)

    # The smaller the distance, the more alike.
    names = loaded.class_names
    numbers = range(loaded.module.model.num_requested_labels or 0)
    for file, one in zip(images, found, strict=True):
        in_class = "" if one.label is None else f", class {(names or numbers)[one.label]}"
        typer.echo(f"{file}: distance {one.distance:.4g}{in_class}")
    typer.echo(out)
