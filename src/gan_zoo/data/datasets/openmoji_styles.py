"""OpenMoji in several styles, which are the classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.openmoji import STYLES, openmoji_restyled
from gan_zoo.data.files.cache import cache_key

ORIGINAL = "original"


def openmoji_styles(
    styles: Sequence[str] = (ORIGINAL, "hue", "dark"),
    channels: int = 3,
    image_size: ImageSize = 32,
    split: str = "train",
) -> Source:
    """Every drawing in every style, ``[K N, C, S, S]``, with the number of its style as label.

    A drawing is in the same split in all styles. Variants of skin tones are left out.

    Args:
        styles: K of them, ``original`` and those of `openmoji_restyled`.
        channels: 1 or 3.
        image_size: S.
        split: ``train``, ``test`` (a fixed tenth or so) or ``all``.

    Raises:
        DataError: if there is no such style or split, one comes twice, or a drawing cannot be
            rasterized.
    """
    held_out = partial(openmoji_styles, **{**locals(), "split": "test"})
    known = (ORIGINAL, *STYLES)
    if len(set(styles)) != len(styles) or not styles or not set(styles) <= set(known):
        raise DataError(
            f"data.styles must be different ones of {', '.join(known)}, got {list(styles)}"
        )

    # The originals are the conditions of any style.
    parts = []
    for style in styles:
        restyled = openmoji_restyled(
            "dark" if style == ORIGINAL else style, channels, image_size, split=split
        )
        assert restyled.conditions is not None
        parts.append(restyled.conditions if style == ORIGINAL else restyled.samples)
    return Source(
        "openmoji_styles",
        split,
        torch.cat(parts),
        torch.arange(len(parts)).repeat_interleave(len(parts[0])),
        classes=list(styles),
        held_out=held_out if split == "train" else None,
        license=restyled.license,
        fingerprint=cache_key(restyled.fingerprint, *styles),
    )
