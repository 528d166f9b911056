"""Translation of a folder of images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.derived import Derivation, derivation_of
from gan_zoo.data.files.find import find_images
from gan_zoo.data.files.image_io import ValueRange, open_image
from gan_zoo.data.image_tensors import to_pil, to_uint8, to_unit
from gan_zoo.inference.model import LoadedModel
from gan_zoo.inference.tiles import in_tiles
from gan_zoo.models.base import Model

DIRECTIONS = ("forward", "backward")


TILE_OVERLAP = 64
"""Pixels that neighboring tiles of a large image share."""


@dataclass(frozen=True)
class TranslatedFile:
    """An image file and its translations.

    Attributes:
        name: path below the folder, without suffix.
        source: the file.
        outputs: the files that were written, one for each output.
    """

    name: str
    source: Path
    outputs: Sequence[Path]


@dataclass(frozen=True)
class Translator:
    """The averaged translator of a run, and what it takes.

    Attributes:
        network: maps images ``[B, C, H, W]`` to images, of any size.
        channels: of the images that it is given.
        side: shorter side of its inputs in training, in pixels.
        value_range: of images with more than 8 bits.
        derivation: makes the network's inputs of the images that it is given; None if they are
            inputs already.
    """

    network: torch.nn.Module
    channels: int
    side: int
    value_range: ValueRange | None = None
    derivation: Derivation | None = None

    def load(self, file: Path, full_size: bool = False) -> Tensor:
        """An image file as uint8 ``[C, H, W]``, resized to the training size unless
        ``full_size``.
        """
        return load_image(file, self.channels, None if full_size else self.side, self.value_range)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """uint8 ``[C, H, W]`` of any size, translated: uint8 ``[C', s H, s W]`` where the network
        enlarges by s.

        Sides that the network's halvings do not divide (its ``multiple``) get a repeated border,
        which is cut off.
        """
        # Repeat the border up to sides that the network can halve.
        height, width = image.shape[1:]
        multiple = int(getattr(self.network, "multiple", 4))
        right, below = -width % multiple, -height % multiple
        x = F.pad(to_unit(image)[None], (0, right, 0, below), mode="replicate")

        # Where conditions are made from images, make one here.
        given = x if self.derivation is None else self.derivation(x, StepRNG(0, 0))
        device = next(self.network.parameters()).device
        translated = self.network(given.to(device))[0]

        # Cut off the border, at the scale of the output.
        scale = translated.shape[1] / x.shape[2]
        return to_uint8(
            translated[:, : round(scale * height), : round(scale * width)].float().cpu()
        )


class RequestTranslator(torch.nn.Module):
    """A translator with latents or classes as a function of images alone.

    Args:
        model: draws the latents and samples.
        generators: of the model.
        number: of the output; each has latents of its own, the same for every image.
        label: class to which images are translated, for models that have classes.
    """

    def __init__(
        self,
        model: Model,
        generators: torch.nn.ModuleDict,
        number: int,
        label: int | None = None,
    ) -> None:
        super().__init__()
        self.draw = model.sample
        self.generators = generators
        self.number = number
        self.label = label
        translator = generators["a_to_b" if "a_to_b" in generators else "main"]
        self.multiple = int(getattr(translator, "multiple", 4))

    def forward(self, x: Tensor) -> Tensor:
        label = None if self.label is None else torch.full((len(x),), self.label)
        request = SampleRequest(len(x), StepRNG(0, self.number), condition=x, label=label)
        return self.draw(request.to(x.device), self.generators)


def translator_of(
    run: LoadedModel,
    direction: str = "forward",
    number: int = 0,
    label: int | str | None = None,
) -> Translator:
    """The translator of a run.

    Args:
        run: a trained model.
        direction: ``forward`` from the conditions' domain to the samples', or ``backward``.
        number: of the output, for models with latents.
        label: the class to translate to, by number or name, for models with classes.

    Raises:
        DataError: if the run's model does not translate, or not in that direction, or needs a
            class.
        ConfigError: if there is no such class.
    """
    # The direction has to exist, and the model to translate.
    networks = run.module.inference_generators
    networks.eval()
    if direction not in DIRECTIONS:
        raise DataError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    model = run.module.model
    if not model.translates:
        raise DataError(f"{type(model).__name__} does not translate images: use gan-zoo sample")

    if direction == "backward":
        return _backward(run, networks, number)

    # Forward: from a condition, or from the image that it is made of.
    data = run.config["data"]
    value_range = data.get("value_range")
    channels, *sides = data["sample_shape"]
    network = networks["a_to_b" if "a_to_b" in networks else "main"]
    label = None if label is None else run.class_number(label)
    if model.num_requested_labels and label is None:
        raise DataError(
            f"{type(model).__name__} translates to a class: name one with --class (in Python label)"
        )
    if model.latent_dim is not None or label is not None:
        network = RequestTranslator(model, networks, number, label)
    derivation = derivation_of(data["derive"]) if data.get("derive") else None
    if derivation is not None and derivation.applies_to_files:
        return Translator(network, int(channels), min(sides), value_range, derivation)
    channels, *sides = data["condition_shape"]
    return Translator(network, int(channels), min(sides), value_range)


def _backward(run: LoadedModel, networks: torch.nn.ModuleDict, number: int) -> Translator:
    """The translator from an image of the samples' domain, see `translator_of`."""
    model, data = run.module.model, run.config["data"]
    channels, *sides = data["sample_shape"]
    if "b_to_a" not in networks:
        raise DataError(f"{type(model).__name__} translates forward only")
    network = networks["b_to_a"]
    if model.latent_dim is not None:
        # The model samples from whatever translator stands in the forward one's place.
        reverse = torch.nn.ModuleDict({"a_to_b": network})
        network = RequestTranslator(model, reverse, number)
    return Translator(network, int(channels), min(sides), data.get("value_range"))


def load_image(
    file: Path, channels: int, side: int | None, value_range: ValueRange | None = None
) -> Tensor:
    """One image as uint8 ``[C, H, W]``, its short side resized to ``side`` pixels; None leaves
    it.
    """
    image = open_image(file, channels, value_range)
    if side is not None and min(image.size) != side:
        scale = side / min(image.size)
        image = image.resize(
            [max(1, round(length * scale)) for length in image.size], Image.Resampling.BICUBIC
        )

    # Channels first, in memory that torch may write to.
    array = np.asarray(image)
    return torch.from_numpy(
        array[None].copy() if channels == 1 else array.transpose(2, 0, 1).copy()
    )


def translate_folder(
    run: LoadedModel,
    source: Path,
    target: Path,
    direction: str = "forward",
    full_size: bool = False,
    num_outputs: int = 1,
    label: int | str | None = None,
    tile: int | None = None,
) -> tuple[list[TranslatedFile], dict[Path, Exception]]:
    """Translate every image below ``source`` into ``target``, names and sub-folders kept, as PNG.

    Args:
        direction: ``forward`` from the conditions' domain to the samples', or ``backward``.
        full_size: translate at the images' own size, not at the size of the translator's inputs in
            training.
        num_outputs: translations of each image, for models with latents; a.png becomes a-1.png,
            a-2.png, ..., where the same number has the same latents in every image.
        label: the class to translate to, by number or name, for models with classes.
        tile: larger images are translated in overlapping tiles of this side; None for none.

    Returns:
        What was written, and why other files could not be read.

    Raises:
        DataError: if there is nothing to translate, or the folders are one.
    """
    files = images_to_read(source, target, "IN")
    _check_options(run, num_outputs, tile)

    # Files that cannot be read are collected, the others translated.
    translators = [translator_of(run, direction, number, label) for number in range(num_outputs)]
    failed: dict[Path, Exception] = {}
    written: dict[Path, TranslatedFile] = {}
    for file in with_progress(files, len(files), f"Translating {len(files):,} images"):
        try:
            image = translators[0].load(file, full_size)
        except (OSError, ValueError, SyntaxError) as error:
            failed[file] = error
            continue
        path = png_path(target / file.relative_to(source), written)
        names = [f"{path.stem}-{number + 1}.png" for number in range(num_outputs)]
        outputs = [path] if num_outputs == 1 else [path.with_name(name) for name in names]
        for translator, output in zip(translators, outputs, strict=True):
            to_pil(_translated(translator, image, tile)).save(output)
        name = file.relative_to(source).with_suffix("").as_posix()
        written[path] = TranslatedFile(name, file, outputs)
    return list(written.values()), failed


def _check_options(run: LoadedModel, num_outputs: int, tile: int | None) -> None:
    """Raise `DataError` for options that the tiles or the model cannot fulfill."""
    if tile is not None and tile < 2 * TILE_OVERLAP:
        raise DataError(f"--tile must be >= {2 * TILE_OVERLAP}, got {tile}")
    if num_outputs < 1 or (num_outputs > 1 and run.module.model.latent_dim is None):
        raise DataError(
            "--num-outputs must be >= 1, and 1 for models without latents, such as"
            f" {type(run.module.model).__name__}, got {num_outputs}"
        )


def images_to_read(source: Path, target: Path, name: str) -> list[Path]:
    """The images below ``source``, the argument ``name`` of a command that writes to ``target``.

    Raises:
        DataError: if there are none, or the folders are one.
    """
    if not source.is_dir():
        raise DataError(
            f"{name} must be a folder of images, got {str(source)!r}, which is not a folder"
        )
    if source.resolve() == target.resolve():
        raise DataError(f"OUT must be another folder than {name}, got {str(target)!r} for both")
    files = find_images(source)
    if not files:
        raise DataError(f"{source} has no images")
    return files


def png_path(file: Path, taken: Collection[Path]) -> Path:
    """Where the PNG of an image goes, in a folder that exists; ``file`` has the image's name."""
    # a.jpg next to a.webp.
    path = file.with_suffix(".png")
    path = path if path not in taken else path.with_name(f"{file.name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _translated(translator: Translator, image: Tensor, tile: int | None) -> Tensor:
    return translator(image) if tile is None else in_tiles(translator, image, tile, TILE_OVERLAP)


def format_failures(failed: dict[Path, Exception], total: int) -> Sequence[str]:
    """One line for each image that could not be read."""
    return [
        f"{len(failed)} of {total} images could not be read:",
        *(f"  {f}: {e}" for f, e in failed.items()),
    ]
