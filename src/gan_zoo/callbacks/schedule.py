"""When something is due."""

from __future__ import annotations

from gan_zoo.module import GANModule


def due(module: GANModule, every_images: int, images_in_step: int) -> bool:
    """Whether the step that just ended passed a multiple of ``every_images`` images. 0 means never."""
    if every_images <= 0:
        return False
    seen = module.clock.images_seen
    return seen // every_images > (seen - images_in_step) // every_images
