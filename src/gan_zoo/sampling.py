"""What a trained generator can be asked for: grids, walks, traversals, sums of latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_zoo.callbacks.samples import request
from gan_zoo.data.captions import Vocabulary
from gan_zoo.data.images import with_progress
from gan_zoo.data.sentences import embed
from gan_zoo.data.source import DataError, to_uint8
from gan_zoo.data.stream import asked
from gan_zoo.module import GANModule
from gan_zoo.noise import CPU, Noise, stable_seed
from gan_zoo.pictures import picture_of, pillow
from gan_zoo.runs import Run
from gan_zoo.types import Batch


def latent_dim(module: GANModule) -> int:
    """The size of the latents; `DataError` for games that have none."""
    size = getattr(module.game, "latent_dim", None)
    if not isinstance(size, int):
        raise DataError(f"{type(module.game).__name__} has no latents to walk in: use gan-zoo translate")
    return size


def draw_latents(module: GANModule, count: int, seed: int, truncation: float | None = None) -> Tensor:
    """``count`` latents ``[count, latent_dim]`` of a seed, the same on every device.

    Args:
        truncation: normal latents are drawn from the part of the prior within +- this many standard deviations;
            smaller is safer and more alike. None for the whole prior.
    """
    noise, size = Noise(stable_seed(seed, "sample"), 0), latent_dim(module)
    if getattr(module.game, "prior", "normal") == "uniform":
        latents = 2 * noise.uniform("latents", count, size) - 1
        return latents if truncation is None else latents * min(1.0, truncation)
    if truncation is None:
        return noise.normal("latents", count, size)
    if truncation <= 0:
        raise DataError(f"truncation must be > 0, got {truncation}")
    edge = float(torch.special.ndtr(torch.tensor(truncation)))
    share = noise.uniform("latents", count, size).double()
    return torch.special.ndtri((1 - edge) + share * (2 * edge - 1)).to(torch.float32)  # type: ignore[no-any-return]


def wish(
    run: Run, count: int, seed: int, label: int | str | None = None, caption: str | None = None
) -> tuple[Batch, Any, Any]:
    """What to ask for, the captions to write and the number of columns.

    Args:
        label: the class, by number or name, or the code of all samples; None for one column each, or the data's own.
        caption: what all samples are asked to show; None for the data's own.
    """
    game, noise = run.module.game, Noise(stable_seed(seed, "sample"), 0)
    if label is not None:
        label = run.class_number(label)
    if caption is not None and run.reads is None:
        raise DataError("this model is told no caption")
    if label is not None and not set(game.needs) - {"label", "wrong"}:
        return Batch(count, noise, label=torch.full((count,), label)), None, None
    if caption is not None:
        condition = told_by(run, caption)
        return Batch(count, noise, condition=condition.expand(count, -1)), [caption] * count, None
    source: Any = run.source if set(game.needs) - {"label", "wrong"} else None
    return request(run.module, source, count, noise)


def told_by(run: Run, caption: str) -> Tensor:
    """The condition of a caption, ``[1, ...]``: word numbers or a sentence's vector.

    Raises:
        DataError: if no word of it is known, or its encoder is not installed.
    """
    if run.reads == "minilm":
        return embed([caption])
    assert run.words is not None
    tokens = Vocabulary(run.words.vocabulary).encode([caption], run.words.length)
    if int(tokens.max()) < 2:
        raise DataError(f"no word of the caption {caption!r} occurs in the data's captions")
    return tokens


def grid(run: Run, count: int, seed: int, truncation: float | None = None, **wishes: Any) -> Any:
    """A picture of ``count`` samples; translation games show input and output side by side."""
    if len(run.config["data"]["sample_shape"]) == 1:
        raise DataError("this run makes vectors, not pictures: its samples folder has scatter plots")
    batch, captions, columns = wish(run, count, seed, **wishes)
    if hasattr(run.module.game, "latent_dim"):
        batch.latents = draw_latents(run.module, batch.size, seed, truncation)
    return picture_of(run.module.views(batch), captions, columns, run.class_names)


def samples(run: Run | GANModule, count: int, seed: int = 0, truncation: float | None = None, **wishes: Any) -> Tensor:
    """``count`` samples ``[count, ...]`` in [-1, 1] on the CPU, in the order of `grid`.

    Args:
        run: a loaded run, or a module that was trained in this process.
        truncation: see `draw_latents`.
        wishes: ``label`` or ``caption``, the same for all samples.
    """
    run = run if isinstance(run, Run) else run_of(run)
    classes = run.module.game.num_intents or 1
    batch = wish(run, -(-count // classes) * classes, seed, **wishes)[0]  # a grid has whole columns
    if hasattr(run.module.game, "latent_dim"):
        batch.latents = draw_latents(run.module, batch.size, seed, truncation)
    return run.module.sample(batch).cpu()[:count]


def run_of(module: GANModule) -> Run:
    """A module that was trained in this process as a run without a folder, told of the data it was trained on."""
    data: Any = getattr(module._trainer, "datamodule", None)
    source = None if data is None else data.source
    if source is None and set(module.game.needs) - {"label", "wrong"}:
        raise DataError(f"{type(module.game).__name__} is told of its data: train it by gan_zoo.fit first")
    return Run(Path(), Path(), {}, module, given_source=source)


def between(start: Tensor, end: Tensor, steps: int, spherical: bool = True) -> Tensor:
    """``steps`` points from ``start`` to ``end``, both included, ``[steps, ...]``.

    Spherical: along the great circle, the length interpolated too, so that normal latents keep their length
    (White 2016); linear: along the straight line.
    """
    t = torch.linspace(0, 1, steps).view(-1, *[1] * start.ndim)
    if not spherical:
        return torch.lerp(start[None], end[None], t)
    a, b = (p / p.norm(dim=-1, keepdim=True).clamp(min=1e-8) for p in (start, end))
    angle = (a * b).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()[None]
    ray = (((1 - t) * angle).sin() * a[None] + (t * angle).sin() * b[None]) / angle.sin()
    length = torch.lerp(start.norm(dim=-1, keepdim=True)[None], end.norm(dim=-1, keepdim=True)[None], t)
    path: Tensor = ray * length
    return path


def show(run: Run, latents: Tensor, batch: Batch | None = None) -> Tensor:
    """Samples for ``latents`` ``[B, latent_dim]``, asked for what ``batch`` asks for."""
    wanted = batch or wish(run, len(latents), 0)[0]
    wanted.size, wanted.latents = len(latents), latents
    return run.module.sample(wanted).cpu()


def of_rows(batch: Batch, rows: Tensor) -> Batch:
    """What ``batch`` asks for in these rows, repeated ones included."""
    label, condition = (None if part is None else part[rows] for part in (batch.label, batch.condition))
    return Batch(len(rows), batch.noise, label=label, condition=condition)


def asked_as_in_the_grid(run: Run, count: int, seed: int, **wishes: Any) -> Batch:
    """What at least ``count`` samples of a grid are asked for, codes that a game would draw itself included."""
    game: Any = run.module.game
    batch = wish(run, max(count, game.num_intents or 0, 64), seed, **wishes)[0]
    if batch.label is None and game.num_intents and not game.needs:
        batch.label = torch.arange(batch.size) % game.num_intents
    if codes := getattr(game, "continuous", 0):
        batch.condition = 2 * batch.noise.uniform("continuous code", batch.size, codes) - 1
    return batch


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
    game: Any = run.module.game
    codes = getattr(game, "continuous", 0)
    if not codes:
        raise DataError(f"{type(game).__name__} has no continuous codes to traverse")
    latents, values = draw_latents(run.module, 1, seed), torch.linspace(-reach, reach, steps)
    rows = []
    for code in range(codes):
        wanted = torch.zeros(steps, codes)
        wanted[:, code] = values
        batch = Batch(steps, Noise(stable_seed(seed, "sample"), 0), label=torch.zeros(steps, dtype=torch.int64))
        batch.latents, batch.condition = latents.expand(steps, -1), wanted
        rows.append(run.module.sample(batch).cpu())
    return torch.stack(rows)


def export_folder(
    run: Run, folder: Path, count: int, seed: int, truncation: float | None = None, block: int = 64, **wishes: Any
) -> int:
    """Write samples 0 to count - 1 as ``000000.png`` ... into ``folder``; sample i depends on seed and i alone."""
    given = {name: value for name, value in wishes.items() if value is not None}
    batch = wish(run, block, seed, **given)[0] if given else None
    told = run.source.told() if run.module.game.needs and batch is None else None
    blocks = range(0, count, block)
    folder.mkdir(parents=True, exist_ok=True)
    for start in with_progress(blocks, len(blocks), f"Writing {count:,} pictures"):
        noise = Noise(stable_seed(seed, "sample"), start // block, device=CPU)
        if batch is not None:
            batch.noise = noise
        wanted = batch or (Batch(block, noise) if told is None else asked(told, block, noise))
        if truncation is not None:
            wanted.latents = draw_latents(run.module, block, stable_seed(seed, start), truncation)
        samples = to_uint8(run.module.sample(wanted.to(run.module.device)).cpu())
        for number, sample in enumerate(samples[: count - start], start):
            pillow(sample).save(folder / f"{number:06d}.png")
    return count
