"""Tensors that were computed before: latents of an autoencoder, spectrograms, label maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.data.sample_kinds.tensors import Tensors, check_scaling, scaled
from gan_zoo.data.splits import check_split, has_held_out, order_by_split, split_slice

SAMPLES, LABELS, CONDITIONS = "samples", "labels", "conditions"
SUFFIXES = (".npy", ".npz", ".safetensors")


def tensor_file(
    root: str,
    scaling: Sequence[float] | None = None,
    condition_classes: int | None = None,
    split: str = "train",
    test_share: float = 0.0,
) -> Source:
    """The tensors of a file: ``samples`` ``[N, C, H, W]`` or ``[N, D]``, perhaps ``labels``
    ``[N]`` and ``conditions`` ``[N, ...]``.

    Unsigned bytes with 1 or 3 channels are images; all other numbers become float32.

    Args:
        root: a file ``.npz`` or ``.safetensors`` with these names, or ``.npy`` with the samples.
        scaling: the values ``[low, high]`` that become -1 and 1; None to leave them as they are.
        condition_classes: K, if conditions are maps ``[N, H, W]`` of class numbers below K, which
            become K channels of zeros and ones; None if they are not.
        split: ``train``, ``test`` or ``all``.
        test_share: fraction that is held out by a hash of the row's number, in [0, 1).

    Raises:
        DataError: if the file cannot be read, or shapes or values do not fit.
    """
    held_out = partial(tensor_file, **{**locals(), "split": "test"})
    check_split(split)
    limits = check_scaling(scaling)
    arrays = read_arrays(Path(root).expanduser())
    samples = _samples(arrays[SAMPLES], limits)
    labels = arrays.get(LABELS)
    if labels is not None:
        labels = _labels(labels, len(samples))
    conditions = arrays.get(CONDITIONS)
    if conditions is not None:
        conditions = _conditions(conditions, len(samples), condition_classes)

    # The rows of the split.
    names = [str(row) for row in range(len(samples))]
    order = torch.tensor(order_by_split(names, test_share))
    names = [names[row] for row in order.tolist()]
    rows = order[split_slice(names, split, test_share)]
    is_images = samples.dtype == torch.uint8
    return Source(
        Path(root).stem,
        split if test_share else "all",
        samples[rows],
        None if labels is None else labels[rows],
        conditions=None if conditions is None else conditions[rows],
        held_out=held_out if has_held_out(names, split, test_share) else None,
        kind=None if is_images or samples.ndim == 2 else Tensors(limits),
    )


class ArrayHeader(NamedTuple):
    """What is known of an array without reading it.

    Attributes:
        shape: of one of its rows.
        is_image: whether a row is an image of bytes, gray or RGB.
        num_classes: one more than the largest number of ``labels``; None for other arrays.
    """

    shape: list[int]
    is_image: bool
    num_classes: int | None = None


def array_header(root: str | Path, name: str = SAMPLES) -> ArrayHeader | None:
    """The header of a file's array; None if there is no array of this name.

    Raises:
        DataError: if the file cannot be read.
    """
    path = Path(root).expanduser()
    date = path.stat().st_mtime_ns if path.is_file() else 0
    return _headers(path, date).get(name)


@lru_cache(maxsize=8)
def _headers(path: Path, date: int) -> dict[str, ArrayHeader]:
    """The headers of a file of this date, read once, as configs ask for them several times."""
    arrays = read_arrays(path, mapped=True)
    headers = {}
    for name, array in arrays.items():
        classes = int(array.max()) + 1 if name == LABELS and array.numel() else None
        headers[name] = ArrayHeader(list(array.shape[1:]), _is_image(array), classes)
    return headers


def read_arrays(path: Path, mapped: bool = False) -> dict[str, Tensor]:
    """The arrays of a file by name.

    Args:
        path: the file.
        mapped: whether a ``.npy`` file is only mapped into memory.

    Raises:
        DataError: if it cannot be read, or has no samples.
    """
    arrays: dict[str, Any] = {}
    _check_file(path)

    # Nothing that is pickled is read: it could run code.
    try:
        if path.suffix == ".npy":
            # Copy on write: a tensor of a read-only map would warn, and must not change the file.
            arrays[SAMPLES] = np.load(path, mmap_mode="c" if mapped else None)
        elif path.suffix == ".npz":
            with np.load(path) as file:
                arrays.update({name: file[name] for name in file.files})
        else:
            with safe_open(path, framework="pt") as file:
                arrays.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        tensors = {name: torch.as_tensor(array) for name, array in arrays.items()}
    except (OSError, ValueError, EOFError, TypeError, SafetensorError) as error:
        raise DataError(f"data.root={path} cannot be read: {error}") from error
    if SAMPLES not in tensors:
        raise DataError(f"data.root={path} must hold 'samples', it holds {sorted(tensors)}")
    return tensors


def _check_file(path: Path) -> None:
    if path.suffix not in SUFFIXES or not path.is_file():
        raise DataError(f"data.root must be a file {', '.join(SUFFIXES)}, got {str(path)!r}")


def _samples(samples: Tensor, limits: tuple[float, float] | None) -> Tensor:
    if samples.ndim not in (2, 4) or not len(samples):
        raise DataError(f"samples must be [N, C, H, W] or [N, D], got {list(samples.shape)}")

    # Bytes are images, and already on the scale of images.
    if _is_image(samples):
        if limits is not None:
            raise DataError("data.scaling must be null for images of bytes, which are 0 to 255")
        return samples

    # Numbers are brought to [-1, 1], and must be such.
    values = scaled(samples.float(), limits)
    if not bool(values.isfinite().all()):
        raise DataError("samples hold numbers that are not finite")
    return values


def _is_image(samples: Tensor) -> bool:
    return samples.dtype == torch.uint8 and samples.ndim == 4 and samples.shape[1] in (1, 3)


def _labels(labels: Tensor, count: int) -> Tensor:
    if labels.shape != (count,) or labels.is_floating_point() or int(labels.min()) < 0:
        raise DataError(
            f"labels must be {count} whole numbers >= 0, got {labels.dtype} {list(labels.shape)}"
        )
    return labels.long()


def _conditions(conditions: Tensor, count: int, classes: int | None) -> Tensor:
    if len(conditions) != count:
        raise DataError(f"there must be {count} conditions, one a sample, got {len(conditions)}")
    if classes is None:
        is_image = conditions.dtype == torch.uint8 and conditions.ndim == 4
        return conditions if is_image else conditions.float()

    # Maps of class numbers become one channel a class.
    if conditions.ndim != 3 or conditions.is_floating_point():
        raise DataError(
            "conditions must be whole numbers [N, H, W] with data.condition_classes, got"
            f" {conditions.dtype} {list(conditions.shape)}"
        )
    low, high = int(conditions.min()), int(conditions.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"conditions must be below data.condition_classes={classes}, got {low} to {high}"
        )
    numbers = torch.arange(classes).view(1, -1, 1, 1)
    return conditions[:, None] == numbers
