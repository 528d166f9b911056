"""Samples of a trained generator: grids, interpolations, traversals, sums of latents, folders of
images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import CPU, StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.inference import styles
from gan_zoo.inference.latents import draw_latents, interpolate
from gan_zoo.inference.model import LoadedModel, make_request, request_as_in_grid
from gan_zoo.models.latent_spaces import latent_space, mapped_generator
from gan_zoo.training.requests import data_request, needs_source
from gan_zoo.visualization.image_grid import image_of


def grid(
    run: LoadedModel,
    count: int,
    seed: int,
    truncation: float | None = None,
    psi: float | None = None,
    **request: Any,
) -> Any:
    """An image grid of ``count`` samples; translation models show input and output side by side."""
    if not run.sample_kind.is_image:
        raise DataError(
            "this run does not generate images: its samples folder has drawings, --count writes"
            " samples to a file"
        )

    # Conditions as in a grid, and the latents of the seed.
    requested, captions, columns = make_request(run, count, seed, **request)
    if run.module.model.latent_dim is not None:
        requested.latents = draw_latents(run.module, requested.size, seed, truncation)

    # With psi, samples of truncated styles replace the model's own visuals.
    module = run.module
    visuals = (
        module.visuals(requested)
        if psi is None
        else {"sample": styles.sample(module, requested, psi)}
    )
    return image_of(visuals, captions, columns, run.class_names)


def generate(run: LoadedModel, latents: Tensor, request: SampleRequest | None = None) -> Tensor:
    """Samples for ``latents`` ``[B, latent_dim]``, with the classes and conditions of
    ``request``.
    """
    requested = request or make_request(run, len(latents), 0).request
    return run.module.sample(replace(requested, size=len(latents), latents=latents)).cpu()


def interpolation_grid(
    run: LoadedModel,
    seed: int,
    rows: int = 6,
    steps: int = 9,
    spherical: bool = True,
    space: str = "z",
    **request: Any,
) -> Tensor:
    """Paths between pairs of samples, one in each row: ``[rows, steps, C, H, W]``; conditions stay
    the same.

    Args:
        space: of latents ``z``, or of styles ``w``, where paths are straight.
    """
    module = run.module
    points_of = latent_space(space, module.model)
    requested = request_as_in_grid(run, rows, seed, **request)
    with module.inference_mode() as generators:
        # Both ends of a path have the same condition.
        ends = requested.select(torch.arange(2 * rows) % rows)
        ends.latents = draw_latents(module, 2 * rows, seed)
        points = points_of.points(ends.to(module.device), generators).cpu()
        path = interpolate(
            points[:rows], points[rows:], steps, spherical and space == "z"
        ).transpose(0, 1)

        # All points of all paths.
        same = requested.select(torch.arange(rows).repeat_interleave(steps)).to(module.device)
        samples = (
            points_of.samples(path.flatten(0, 1).to(module.device), same, generators).float().cpu()
        )
    return samples.reshape(rows, steps, *samples.shape[1:])


def mixing_grid(
    run: LoadedModel,
    seed: int,
    rows: int = 6,
    columns: int = 6,
    coarse: int | None = None,
    psi: float | None = None,
    **request: Any,
) -> Tensor:
    """Samples of mixed styles (Karras et al. 2019, section 3.1), ``[(rows + 1) (columns + 1), C, H,
    W]``.

    The first column shows the samples that give the coarse styles of their row, the first row those
    that give the fine styles of their column; the corner is white.

    Args:
        rows, columns: how many samples give coarse and fine styles.
        coarse: how many style inputs, from the first, are those of the row; None for half of them.
        psi: truncation of all styles, None for none.

    Raises:
        DataError: if the generator has no mapping, or ``coarse`` leaves one side nothing.
    """
    # The sources of rows and columns are samples of one seed.
    num_styles = mapped_generator(run.module.inference_generators, "--what mix").num_styles
    requested = request_as_in_grid(run, rows + columns, seed, **request).select(
        torch.arange(rows + columns)
    )
    requested.latents = draw_latents(run.module, rows + columns, seed)
    sources = styles.truncated_styles(run.module, requested, psi)
    mixed = styles.mix(
        sources[:rows], sources[rows:], num_styles // 2 if coarse is None else coarse
    )

    # The sources around the mixed ones.
    given = styles.synthesize(run.module, sources).cpu()
    flat = styles.synthesize(run.module, mixed.flatten(0, 1)).cpu()
    cells = flat.reshape(rows, columns, *flat.shape[1:])
    lines = torch.cat([given[:rows, None], cells], 1)
    return torch.cat([torch.ones_like(given[:1]), given[rows:], lines.flatten(0, 1)])


def arithmetic(run: LoadedModel, plus: Sequence[int], minus: Sequence[int], seed: int) -> Tensor:
    """The samples numbered ``plus`` and ``minus``, as `grid` shows them, and that of the sum of
    their latents.

    The sum is scaled to the mean length of the latents, with the class and condition of the first
    of ``plus``.
    """
    if not plus or min([*plus, *minus]) < 0:
        raise DataError(
            f"--plus and --minus must be numbers of samples >= 0, got {list(plus)} and"
            f" {list(minus)}"
        )

    # The samples that are added and subtracted.
    requested = request_as_in_grid(run, max([*plus, *minus]) + 1, seed)
    latents = draw_latents(run.module, requested.size, seed)
    parts = latents[[*plus, *minus]]

    # The sum, at the length of a latent.
    total = latents[list(plus)].sum(0)
    if minus:
        total = total - latents[list(minus)].sum(0)
    total = total / total.norm().clamp(min=1e-8) * parts.norm(dim=1).mean()

    # One batch, in which the sum has the condition of the first sample.
    rows = torch.tensor([*plus, *minus, plus[0]])
    return generate(run, torch.cat([parts, total[None]]), requested.select(rows))


def traverse(run: LoadedModel, seed: int, steps: int = 9, reach: float = 2.0) -> Tensor:
    """InfoGAN's continuous codes, one in each row from -reach to reach: ``[codes, steps, C, H,
    W]``.
    """
    model = run.module.model
    num_codes = model.num_continuous_codes
    if not num_codes:
        raise DataError(f"{type(model).__name__} has no continuous codes to traverse")

    # One code varies at a time; the latents, the class and the other codes stay the same.
    latents = draw_latents(run.module, 1, seed).expand(steps, -1)
    rows = []
    for code in range(num_codes):
        codes = torch.zeros(steps, num_codes)
        codes[:, code] = torch.linspace(-reach, reach, steps)
        rng = StepRNG(stable_seed(seed, "sample"), 0)
        label = torch.zeros(steps, dtype=torch.int64)
        rows.append(run.module.sample(SampleRequest(steps, rng, latents, label, codes=codes)).cpu())
    return torch.stack(rows)


def write_samples(
    run: LoadedModel,
    target: Path,
    count: int,
    seed: int,
    truncation: float | None = None,
    psi: float | None = None,
    block: int = 64,
    **request: Any,
) -> int:
    """Write samples 0 to count - 1 as their kind does, images as ``000000.png`` ... into a folder;
    sample i depends on seed and i alone.
    """
    generated = sample_blocks(run, count, seed, truncation, psi, block, **request)
    return run.sample_kind.write(generated, target)


def sample_blocks(
    run: LoadedModel,
    count: int,
    seed: int,
    truncation: float | None = None,
    psi: float | None = None,
    block: int = 64,
    **request: Any,
) -> Iterator[Tensor]:
    """The samples of `write_samples`, on the CPU, in blocks ``[B, ...]``."""
    # A class or a caption that is given holds for all samples; a class may need inputs of the data.
    model = run.module.model
    given = {name: value for name, value in request.items() if value is not None}
    has_class_of_data = "label" in given and needs_source(model)
    label = run.class_number(given["label"]) if has_class_of_data else None
    same_for_all = make_request(run, block, seed, **given).request if given else None

    # Blocks of a fixed size with random numbers of their own: sample i does not depend on count.
    starts = range(0, count, block)
    for start in with_progress(starts, len(starts), f"Writing {count:,} samples"):
        rng = StepRNG(stable_seed(seed, "sample"), start // block, device=CPU)
        if same_for_all is not None and label is None:
            requested = replace(same_for_all, rng=rng)
        elif model.conditioning == "none":
            requested = SampleRequest(block, rng)
        else:
            requested = data_request(model, run.source, block, rng)
        if label is not None:
            requested.label = torch.full((block,), label)
        if truncation is not None:
            at = stable_seed(seed, start)
            requested.latents = draw_latents(run.module, block, at, truncation)

        # The last block is complete, too, and only used in part.
        yield styles.sample(run.module, requested, psi).cpu()[: count - start]
