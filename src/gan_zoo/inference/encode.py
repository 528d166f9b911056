"""Latents and reconstructions of images by a model's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.core.types import Encodes
from gan_zoo.data.files.image_io import decode
from gan_zoo.data.image_tensors import to_pil, to_uint8, to_unit
from gan_zoo.inference.model import LoadedModel
from gan_zoo.inference.translate import images_to_read, png_path


def require_images(run: LoadedModel, command: str) -> None:
    """Raise `DataError` unless the run is one of gray or RGB images."""
    shape = run.config["data"]["sample_shape"]
    if not run.sample_kind.is_image or shape[0] not in (1, 3):
        raise DataError(
            f"gan-zoo {command} needs a run of gray or RGB images, got samples of shape"
            f" {list(shape)}"
        )


def load_as_in_training(run: LoadedModel, file: Path) -> Tensor:
    """An image file as the run's networks see images, ``[C, H, W]`` in [-1, 1]: resized to cover
    that size, center cropped.

    Raises:
        ValueError, OSError: if the file cannot be read.
    """
    channels, *size = run.config["data"]["sample_shape"]
    value_range = run.config["data"].get("value_range")
    return to_unit(torch.from_numpy(decode(file, channels, size, value_range).copy()))


def encode_folder(
    run: LoadedModel, source: Path, target: Path, block: int = 64
) -> tuple[int, dict[Path, Exception]]:
    """Encode every image below ``source``.

    Writes ``latents.npy`` ``[N, D]``, ``names.txt`` with the file of each row, and
    ``reconstructions/``, names and sub-folders kept, as PNG.

    Returns:
        How many were encoded, and why other files could not be read.

    Raises:
        DataError: if the model has no encoder, there is nothing to encode, or the folders are one.
    """
    model = run.module.model
    if not isinstance(model, Encodes):
        raise DataError(
            "gan-zoo encode needs a model with an encoder, such as bigan, vae or aae, got"
            f" {type(model).__name__}: use gan-zoo project"
        )
    require_images(run, "encode")
    files = images_to_read(source, target, "FOLDER")

    # Files that cannot be read are collected, the others encoded in blocks.
    failed: dict[Path, Exception] = {}
    names: list[str] = []
    latents: list[Tensor] = []
    written: set[Path] = set()
    starts = range(0, len(files), block)
    for start in with_progress(starts, len(starts), f"Encoding {len(files):,} images"):
        images = _readable(run, files[start : start + block], failed)
        if not images:
            continue

        # Latents and reconstructions of the averaged networks.
        x = torch.stack(list(images.values())).to(run.module.device)
        with run.module.inference_mode() as generators:
            latents.append(model.encode(x, generators).float().cpu())
            rebuilt = to_uint8(model.reconstruct(x, generators).float().cpu())
        for file, image in zip(images, rebuilt, strict=True):
            name = file.relative_to(source)
            path = png_path(target / "reconstructions" / name, written)
            to_pil(image).save(path)
            written.add(path)
            names.append(name.as_posix())
    if latents:
        write_latents(target, torch.cat(latents), names)
    return len(names), failed


def _readable(
    run: LoadedModel, files: Sequence[Path], failed: dict[Path, Exception]
) -> dict[Path, Tensor]:
    """The images of the files that can be read; ``failed`` gets the others."""
    images: dict[Path, Tensor] = {}
    for file in files:
        try:
            images[file] = load_as_in_training(run, file)
        except (OSError, ValueError, SyntaxError) as error:
            failed[file] = error
    return images


def write_latents(folder: Path, latents: Tensor, names: Sequence[str]) -> None:
    """``latents.npy`` ``[N, D]``, and ``names.txt`` with a line for each row."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "latents.npy", latents.numpy())
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")
