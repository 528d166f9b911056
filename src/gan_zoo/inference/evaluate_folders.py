"""Scores of finished runs, and of folders of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from gan_zoo.config.build import build_evaluators
from gan_zoo.config.compose import compose_overrides
from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG, seeded_generator
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.image_folder import image_folder
from gan_zoo.data.files.find import images_in
from gan_zoo.data.files.image_cache import check_folder
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.inference.evaluate import set_num_samples
from gan_zoo.inference.load import best_device
from gan_zoo.metrics.base import Generated, MetricResult, Samples, evaluate_all
from gan_zoo.training.requests import BLOCK_SIZE


def compare_folders(
    folder: Path | None,
    against: Path | None,
    overrides: Sequence[str],
    num_samples: int | None,
    image_size: int,
    device_name: str = "auto",
) -> list[MetricResult]:
    """Score the images of one folder against those of another, without any network of ours but the
    extractor.

    With fewer ``num_samples`` than images in ``folder`` the same random ones are taken every time.
    """
    if folder is None or against is None:
        raise DataError("--folder and --against must be given together")

    # Both folders, and a fixed random subset of the first.
    fake, real = (
        load_folder(folder, "--folder", image_size),
        load_folder(against, "--against", image_size),
    )
    device = best_device(device_name)
    count = min(len(fake), num_samples or len(fake))
    chosen = random_subset(len(fake), count)
    evaluators = set_num_samples(build_evaluators(compose_overrides(overrides)), count)

    # Blocks of images take the place of a generator's samples.
    def draw(block: int) -> Generated:
        samples = to_unit(fake.samples[chosen[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE]])
        return Generated(
            {"sample": samples.to(device)},
            SampleRequest(len(samples), StepRNG(0, block, device=CPU)),
        )

    # Scores, with both folders in their protocols.
    scores = evaluate_all(evaluators, Samples(draw, count, BLOCK_SIZE), real, device)
    compared = {"folder": str(folder), "against": str(against), "image_size": image_size}
    return [MetricResult(score.name, score.value, score.protocol | compared) for score in scores]


def random_subset(total: int, count: int) -> torch.Tensor:
    """``count`` of ``total`` rows in their order, the same every time: names of files often sort by
    what is on them.
    """
    return (
        torch.randperm(total, generator=seeded_generator(CPU, "some of", total))[:count]
        .sort()
        .values
    )


def load_folder(folder: Path, option: str, image_size: int) -> Source:
    """The images of a folder, at least two; a `DataError` in the words of the command's ``option``
    if there are not.

    ``data.on_error`` cannot be set here: a file that cannot be read is for the user to remove.
    """
    found = images_in(check_folder(folder.expanduser(), option), option)
    if len(found) < 2:
        raise DataError(f"{option} must hold at least 2 images, {folder} has {len(found)}")
    try:
        return image_folder(str(folder), 3, image_size)
    except DataError as error:
        raise DataError(
            f"{option}: {str(error).replace(' or set data.on_error=skip', '')}"
        ) from error
