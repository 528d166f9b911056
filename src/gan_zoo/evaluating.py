"""Scores of finished runs, and of folders of pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gan_zoo.build import evaluators_of
from gan_zoo.compose import CONF, as_config, compose_overrides
from gan_zoo.data.decoding import check_folder
from gan_zoo.data.image_folder import image_folder, pictures_in
from gan_zoo.data.source import DataError, Source, to_unit
from gan_zoo.errors import explain
from gan_zoo.files import atomic_path
from gan_zoo.metrics.base import Evaluator, Generated, Samples, score_all
from gan_zoo.noise import CPU, Noise, seeded_generator
from gan_zoo.runs import best_device, load_run
from gan_zoo.scoring import BLOCK_SIZE, score_module
from gan_zoo.types import Batch, Score


def evaluate_run(
    run: Path,
    overrides: Sequence[str] = (),
    num_samples: int | None = None,
    checkpoint: str = "best",
    trust: bool = False,
    device: str = "auto",
    other_data: bool = False,
) -> list[Score]:
    """Score a finished run and add the scores to its ``metrics.json``.

    Args:
        run: a run folder, or a checkpoint file.
        overrides: ``metric=...`` and ``extractor=...`` instead of the run's own.
        num_samples: samples generated for every score; None for what each asks for.
        checkpoint: ``best`` or ``last``.
        trust, device, other_data: as in `load_run`.
    """
    loaded = load_run(run, checkpoint, device, trust, other_data)
    evaluators = with_samples(evaluators_of(as_config(loaded.config), overrides), num_samples)
    scores = score_module(loaded.module, loaded.source, evaluators, loaded.config["seed"])
    of = {"checkpoint": loaded.checkpoint.name, "images_seen": loaded.module.clock.images_seen}
    scores = [Score(score.name, score.value, score.protocol | of) for score in scores]
    try:
        append(loaded.folder / "metrics.json", scores)
    except OSError as error:  # what was computed is still worth printing
        print(f"the scores cannot be saved: {explain(error, CONF)}", file=sys.stderr)
    return scores


def with_samples(evaluators: dict[str, Evaluator], num_samples: int | None) -> dict[str, Evaluator]:
    """The evaluators, wanting ``num_samples`` each if that is given."""
    if not evaluators:
        raise DataError("there is nothing to score: add metric=images")
    for evaluator in evaluators.values():
        evaluator.num_samples = num_samples or evaluator.num_samples
    return evaluators


def append(path: Path, scores: Sequence[Score]) -> None:
    """Add scores to a run's ``metrics.json``, whole or not at all; a repeated one takes the old one's place."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    new = [asdict(score) for score in scores]
    keys = {json.dumps([entry["name"], entry["protocol"]], sort_keys=True) for entry in new}
    old = content.get("metrics", [])
    kept = [entry for entry in old if json.dumps([entry["name"], entry["protocol"]], sort_keys=True) not in keys]
    content["metrics"] = kept + new
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def compare_folders(
    folder: Path | None,
    against: Path | None,
    overrides: Sequence[str],
    num_samples: int | None,
    image_size: int,
    device_name: str = "auto",
) -> list[Score]:
    """Score the pictures of one folder against those of another, without any network of ours but the extractor.

    With fewer ``num_samples`` than pictures in ``folder`` the same random ones are taken every time.
    """
    if folder is None or against is None:
        raise DataError("--folder and --against must be given together")
    fake, real = pictures(folder, "--folder", image_size), pictures(against, "--against", image_size)
    device = best_device(device_name)
    count = min(len(fake), num_samples or len(fake))
    chosen = some_of(len(fake), count)
    evaluators = with_samples(evaluators_of(compose_overrides(overrides)), count)

    def draw(block: int) -> Generated:
        samples = to_unit(fake.samples[chosen[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE]])
        return Generated({"sample": samples.to(device)}, Batch(len(samples), Noise(0, block, device=CPU)))

    scores = score_all(evaluators, Samples(draw, count, BLOCK_SIZE), real, device)
    compared = {"folder": str(folder), "against": str(against), "image_size": image_size}
    return [Score(score.name, score.value, score.protocol | compared) for score in scores]


def some_of(total: int, count: int) -> torch.Tensor:
    """``count`` of ``total`` rows in their order, the same every time: names of files often sort by what is on them."""
    return torch.randperm(total, generator=seeded_generator(CPU, "some of", total))[:count].sort().values


def pictures(folder: Path, option: str, image_size: int) -> Source:
    """The pictures of a folder, at least two; a `DataError` in the words of the command's ``option`` if there are not.

    ``data.on_error`` cannot be set here: a file that cannot be read is for the user to remove.
    """
    found = pictures_in(check_folder(folder.expanduser(), option), option)
    if len(found) < 2:
        raise DataError(f"{option} must hold at least 2 pictures, {folder} has {len(found)}")
    try:
        return image_folder(str(folder), 3, image_size)
    except DataError as error:
        raise DataError(f"{option}: {str(error).replace(' or set data.on_error=skip', '')}") from error


def table(scores: Sequence[Score]) -> list[str]:
    """One line for each score, with the numbers of samples."""
    width = max(len(score.name) for score in scores)
    lines = []
    for score in scores:
        counts = {"generated": score.protocol.get("num_generated"), "real": score.protocol.get("num_real")}
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        lines.append(f"{score.name:<{width}}  {score.value:<10.5g}  {told}")
        if warning := score.protocol.get("warning"):
            lines.append(f"{'':<{width}}  {warning}")
    return lines
