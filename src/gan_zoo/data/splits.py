"""Train/test split by a hash of sample names."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

from gan_zoo.core.errors import DataError

SPLITS = ("train", "test", "all")
VARIANT = re.compile(r"-(1f3f[b-f]|fe0f)(?![0-9a-f])")


def variant_group(name: str) -> str:
    """The part of a name that its variants have in common; variants stay in the same split.

    Emojis are named by their code points; those of skin tones (1F3FB to 1F3FF) and of presentation
    (FE0F) are removed: ``1F44B-1F3FD`` becomes ``1f44b``. Other names stay as they are, in lower
    case.
    """
    return VARIANT.sub("", name.lower())


def is_held_out(name: str, fraction: float) -> bool:
    """Whether the hash of ``name`` is in the held-out ``fraction`` (0 to 1) of all names."""
    if fraction == 0:
        return False
    digest = hashlib.sha256(os.fsencode(variant_group(name))).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def check_split(split: str, allowed: Sequence[str] = SPLITS) -> None:
    """Raise `DataError` unless ``split`` is one of ``allowed``."""
    if split not in allowed:
        raise DataError(f"data.split must be one of {', '.join(allowed)}, got {split!r}")


def order_by_split(names: Sequence[str], fraction: float) -> list[int]:
    """The rows of ``names`` in their order, those for training first, then the held-out ones.

    Raises:
        DataError: if ``fraction`` is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise DataError(f"data.test_share must be >= 0 and < 1, got {fraction}")
    return sorted(range(len(names)), key=lambda row: is_held_out(names[row], fraction))


def split_slice(names: Sequence[str], split: str, fraction: float) -> slice:
    """Where ``split`` lies in names that are sorted by `order_by_split`.

    Raises:
        DataError: if there is no such split, or nothing in it.
    """
    check_split(split)

    # Held-out names come last.
    held_out = sum(is_held_out(name, fraction) for name in names)
    first_held_out = len(names) - held_out
    where = {
        "train": slice(0, first_held_out),
        "test": slice(first_held_out, len(names)),
        "all": slice(0, len(names)),
    }
    found = where[split]
    if found.start == found.stop:
        raise DataError(
            f"data.split={split} has none of the {len(names)} samples: "
            f"data.test_share={fraction} of them are held out by a hash of their names"
        )
    return found


def has_held_out(names: Sequence[str], split: str, fraction: float) -> bool:
    """Whether ``split`` is the training part and leaves samples for a test."""
    return split == "train" and any(is_held_out(name, fraction) for name in names)
