"""What a trained generator can be asked for: grids, walks, traversals, sums of latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import CPU, StepRNG, stable_seed
from gan_zoo.core.types import Batch
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.data.loader import asked
from gan_zoo.inference.latents import between, draw_latents
from gan_zoo.inference.model import Run, asked_as_in_the_grid, of_rows, wish
from gan_zoo.visualization.image_grid import picture_of, pillow


def grid(run: Run, count: int, seed: int, truncation: float | None = None, **wishes: Any) -> Any:
    """A picture of ``count`` samples; translation models show input and output side by side."""
    if len(run.config["data"]["sample_shape"]) == 1:
        raise DataError("this run makes vectors, not pictures: its samples folder has scatter plots")
    batch, captions, columns = wish(run, count, seed, **wishes)
    if hasattr(run.module.model, "latent_dim"):
        batch.latents = draw_latents(run.module, batch.size, seed, truncation)
    return picture_of(run.module.views(batch), captions, columns, run.class_names)


def show(run: Run, latents: Tensor, batch: Batch | None = None) -> Tensor:
    """Samples for ``latents`` ``[B, latent_dim]``, asked for what ``batch`` asks for."""
    wanted = batch or wish(run, len(latents), 0)[0]
    wanted.size, wanted.latents = len(latents), latents
    return run.module.sample(wanted).cpu()


def walk(run: Run, seed: int, rows: int = 6, steps: int = 9, spherical: bool = True, **wishes: Any) -> Tensor:
    """Walks between pairs of samples, one in each row: ``[rows, steps, C, H, W]``; what is asked for stays the same."""
    ends = draw_latents(run.module, 2 * rows, seed)
    path = between(ends[:rows], ends[rows:], steps, spherical).transpose(0, 1)
    wanted = asked_as_in_the_grid(run, rows, seed, **wishes)
    same = torch.arange(rows).repeat_interleave(steps)
    samples = show(run, path.flatten(0, 1), of_rows(wanted, same))
    return samples.reshape(rows, steps, *samples.shape[1:])


def arithmetic(run: Run, plus: Sequence[int], minus: Sequence[int], seed: int) -> Tensor:
    """The samples numbered ``plus`` and ``minus``, as `grid` shows them, and that of the sum of their latents.

    The sum is scaled to the length of a latent, and asked for what the first of ``plus`` was asked for.
    """
    if not plus or min([*plus, *minus]) < 0:
        raise DataError(f"--plus and --minus must be numbers of samples >= 0, got {list(plus)} and {list(minus)}")
    wanted = asked_as_in_the_grid(run, max([*plus, *minus]) + 1, seed)
    numbered = draw_latents(run.module, wanted.size, seed)
    parts = numbered[[*plus, *minus]]
    total = numbered[list(plus)].sum(0) - (numbered[list(minus)].sum(0) if minus else 0)
    total = total / total.norm().clamp(min=1e-8) * parts.norm(dim=1).mean()
    return show(run, torch.cat([parts, total[None]]), of_rows(wanted, torch.tensor([*plus, *minus, plus[0]])))


def traverse(run: Run, seed: int, steps: int = 9, reach: float = 2.0) -> Tensor:
    """InfoGAN's continuous codes, one in each row from -reach to reach: ``[codes, steps, C, H, W]``."""
    model: Any = run.module.model
    codes = getattr(model, "continuous", 0)
    if not codes:
        raise DataError(f"{type(model).__name__} has no continuous codes to traverse")
    latents, values = draw_latents(run.module, 1, seed), torch.linspace(-reach, reach, steps)
    rows = []
    for code in range(codes):
        wanted = torch.zeros(steps, codes)
        wanted[:, code] = values
        batch = Batch(steps, StepRNG(stable_seed(seed, "sample"), 0), label=torch.zeros(steps, dtype=torch.int64))
        batch.latents, batch.condition = latents.expand(steps, -1), wanted
        rows.append(run.module.sample(batch).cpu())
    return torch.stack(rows)


def export_folder(
    run: Run, folder: Path, count: int, seed: int, truncation: float | None = None, block: int = 64, **wishes: Any
) -> int:
    """Write samples 0 to count - 1 as ``000000.png`` ... into ``folder``; sample i depends on seed and i alone."""
    given = {name: value for name, value in wishes.items() if value is not None}
    batch = wish(run, block, seed, **given)[0] if given else None
    told = run.source.told() if run.module.model.needs and batch is None else None
    blocks = range(0, count, block)
    folder.mkdir(parents=True, exist_ok=True)
    for start in with_progress(blocks, len(blocks), f"Writing {count:,} pictures"):
        rng = StepRNG(stable_seed(seed, "sample"), start // block, device=CPU)
        if batch is not None:
            batch.rng = rng
        wanted = batch or (Batch(block, rng) if told is None else asked(told, block, rng))
        if truncation is not None:
            wanted.latents = draw_latents(run.module, block, stable_seed(seed, start), truncation)
        samples = to_uint8(run.module.sample(wanted.to(run.module.device)).cpu())
        for number, sample in enumerate(samples[: count - start], start):
            pillow(sample).save(folder / f"{number:06d}.png")
    return count
