"""CelebA, 202,599 faces with 40 attributes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.torchvision_datasets import not_found
from gan_zoo.data.files.image_cache import Decoding, decode_files
from gan_zoo.data.splits import check_split

PARTS = {"train": "0", "valid": "1", "test": "2"}
IMAGES, PARTITION, ATTRIBUTES = (
    "img_align_celeba",
    "list_eval_partition.txt",
    "list_attr_celeba.txt",
)


def celeba(
    root: str,
    split: str = "train",
    channels: int = 3,
    image_size: ImageSize = 64,
    label: str | None = None,
    attributes: Sequence[str] = (),
    download: bool = True,
) -> Source:
    """CelebA (Liu et al. 2015), aligned: the central 178x178 pixels resized to SxS and cached.

    Args:
        root: the folder of ``celeba/img_align_celeba/000001.jpg`` and ``celeba/list_*.txt``.
        split: ``train``, ``valid`` or ``test``, by the authors' list, or ``all``.
        channels, image_size: 1 or 3, and S.
        label: an attribute whose absence and presence are classes 0 and 1; null for no labels.
        attributes: those that become conditions ``[N, len(attributes)]``, 0 or 1 each; empty for no
            conditions.
        download: let torchvision fetch what is missing (it needs the package gdown).

    Raises:
        DataError: if there is no such split or attribute, or files are missing.
    """
    held_out = partial(celeba, **{**locals(), "split": "test"})
    check_split(split, (*PARTS, "all"))

    # Files of the split.
    folder = _folder(root, download)
    part = _parts(folder)
    names = sorted(n for n, number in part.items() if split == "all" or number == PARTS[split])
    if not names:
        raise DataError(f"data.split={split} has none of the {len(part)} images in {PARTITION}")
    files = [folder / IMAGES / name for name in names]
    if missing := next((file for file in files if not file.is_file()), None):
        raise DataError(f"data=celeba: {missing} is listed in {PARTITION} but missing")

    # Images and attributes.
    decoded = decode_files(folder / IMAGES, files, Decoding(channels, image_size))
    requested = [*attributes, *([] if label is None else [label])]
    values = _attributes(folder / ATTRIBUTES, names, requested) if requested else torch.empty(0)
    return Source(
        "celeba",
        split,
        decoded.images,
        labels=None if label is None else values[:, -1].to(torch.int64),
        classes=None if label is None else [f"not {label}", label],
        conditions=values[:, : len(attributes)].contiguous() if attributes else None,
        held_out=held_out if split == "train" and "2" in part.values() else None,
        fingerprint=decoded.key,
    )


def _folder(root: str, download: bool) -> Path:
    """The folder of the dataset, which is downloaded if it is missing."""
    folder = Path(root).expanduser() / "celeba"
    if (folder / IMAGES).is_dir() and (folder / PARTITION).is_file():
        return folder

    # Download it with torchvision.
    missing = FileNotFoundError(f"no celeba/{IMAGES} with celeba/{PARTITION}")
    if not download:
        raise not_found("celeba", root, download, missing)
    from torchvision import datasets

    try:
        datasets.CelebA(root, download=True)
    except (RuntimeError, OSError, ImportError) as error:
        raise not_found("celeba", root, download, error) from error
    return folder


def _parts(folder: Path) -> dict[str, str]:
    """The number of the part that each image belongs to, by the authors' list."""
    lines = (folder / PARTITION).read_text().splitlines()
    return dict(line.split() for line in lines if line.strip())


def _attributes(path: Path, names: Sequence[str], requested: Sequence[str]) -> Tensor:
    """The ``requested`` attributes of the images ``names``, ``[N, len(requested)]``, 0.0 or 1.0."""
    if not path.is_file():
        raise DataError(
            f"data=celeba has no {path.name}, which data.label and data.attributes need"
        )

    # The second line has the names of the attributes.
    _, header, *lines = path.read_text(encoding="utf-8").splitlines()
    available = header.split()
    for name in requested:
        if name not in available:
            raise DataError(
                f"data.label and data.attributes must be among {', '.join(available)}, got {name!r}"
            )
    columns = [available.index(name) + 1 for name in requested]

    # A line is a file name and 1 or -1 for each attribute.
    rows = {}
    for line in lines:
        if fields := line.split():
            rows[fields[0]] = [fields[column] == "1" for column in columns]
    return torch.tensor([rows[name] for name in names], dtype=torch.float32)
