"""Translation of a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.data.datasets.image_folder import find_images
from gan_zoo.data.files.image_io import ValueRange, open_image
from gan_zoo.data.image_tensors import to_uint8, to_unit
from gan_zoo.inference.model import LoadedModel
from gan_zoo.visualization.image_grid import pillow

DIRECTIONS = ("forward", "backward")


def translation_network(run: LoadedModel, direction: str) -> tuple[torch.nn.Module, int]:
    """The averaged translator of a run and the channels of its input.

    Raises:
        DataError: if the run's model does not translate, or not in that direction.
    """
    networks = run.module.inference_generators
    if direction not in DIRECTIONS:
        raise DataError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if not run.module.model.translates:
        raise DataError(f"{type(run.module.model).__name__} does not translate images: use gan-zoo sample")
    data = run.config["data"]
    if direction == "forward":
        return networks["a_to_b" if "a_to_b" in networks else "main"], int(data["condition_shape"][0])
    if "b_to_a" not in networks:
        raise DataError(f"{type(run.module.model).__name__} translates forward only")
    return networks["b_to_a"], int(data["sample_shape"][0])


@torch.no_grad()
def translate_image(network: torch.nn.Module, image: Tensor) -> Tensor:
    """uint8 ``[C, H, W]`` of any size through ``network``, uint8 ``[C', H, W]``.

    Sides that the network's halvings do not divide (its ``multiple``) get a repeated border, which is cut off again.
    """
    height, width = image.shape[1:]
    multiple = int(getattr(network, "multiple", 4))
    right, below = -width % multiple, -height % multiple
    x = F.pad(to_unit(image)[None], (0, right, 0, below), mode="replicate")
    device = next(network.parameters()).device
    return to_uint8(network(x.to(device))[0, :, :height, :width].float().cpu())


def load_image(file: Path, channels: int, side: int | None, value_range: ValueRange | None = None) -> Tensor:
    """One image as uint8 ``[C, H, W]``, its short side resized to ``side`` pixels; None leaves it."""
    image = open_image(file, channels, value_range)
    if side is not None and min(image.size) != side:
        scale = side / min(image.size)
        image = image.resize([max(1, round(length * scale)) for length in image.size], Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return torch.from_numpy(array[None].copy() if channels == 1 else array.transpose(2, 0, 1).copy())


def translate_folder(
    run: LoadedModel, source: Path, target: Path, direction: str = "forward", full_size: bool = False
) -> tuple[int, dict[Path, Exception]]:
    """Translate every image below ``source`` into ``target``, names and sub-folders kept, as PNG.

    Args:
        direction: ``forward`` from the conditions' domain to the samples', or ``backward``.
        full_size: translate at the images' own size, not at the size the translator was trained at.

    Returns:
        How many were written, and why others could not be read.

    Raises:
        DataError: if there is nothing to translate, or the folders are one.
    """
    if not source.is_dir():
        raise DataError(f"IN must be a folder of images, got {str(source)!r}, which is not a folder")
    if source.resolve() == target.resolve():
        raise DataError(f"OUT must be another folder than IN, got {str(target)!r} for both")
    files = find_images(source)
    if not files:
        raise DataError(f"{source} has no images")
    network, channels = translation_network(run, direction)
    network.eval()
    side = None if full_size else int(run.config["data"]["image_size"])
    failed: dict[Path, Exception] = {}
    written: set[Path] = set()
    for file in with_progress(files, len(files), f"Translating {len(files):,} images"):
        try:
            image = load_image(file, channels, side, run.config["data"].get("value_range"))
        except (OSError, ValueError, SyntaxError) as error:
            failed[file] = error
            continue
        path = (target / file.relative_to(source)).with_suffix(".png")
        path = path if path not in written else path.with_name(f"{file.name}.png")  # a.jpg next to a.webp
        written.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        pillow(translate_image(network, image)).save(path)
    return len(written), failed


def format_failures(failed: dict[Path, Exception], total: int) -> Sequence[str]:
    """One line for each image that could not be read."""
    return [f"{len(failed)} of {total} images could not be read:", *(f"  {f}: {e}" for f, e in failed.items())]
