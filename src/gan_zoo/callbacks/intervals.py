"""When something is due."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer

from gan_zoo.training.module import GANModule

SOON = 30.0
"""Seconds of training after which a run has its first image and its first checkpoint, however long
it is.
"""
OF_AN_ENDLESS_RUN = 64_000


def interval(trainer: Trainer, every_images: int | None, times: int) -> int:
    """``every_images``, or for None the images after which ``times`` intervals make up the whole
    run, at least 1.
    """
    if every_images is not None:
        return every_images

    # A run without an end has no fraction, and gets a fixed number.
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    if trainer.max_steps < 1 or data is None:
        return OF_AN_ENDLESS_RUN
    return max(1, trainer.max_steps * int(data.batch_size) // times)


def due(module: GANModule, every_images: int, images_in_step: int) -> bool:
    """Whether the step that just ended passed a multiple of ``every_images`` images. 0 means
    never.
    """
    if every_images <= 0:
        return False
    seen = module.clock.images_seen
    return seen // every_images > (seen - images_in_step) // every_images
