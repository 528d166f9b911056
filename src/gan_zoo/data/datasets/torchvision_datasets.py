"""Datasets that torchvision reads and downloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import fit_images
from gan_zoo.data.splits import check_split

SPLITS = ("train", "test")
SVHN_SPLITS = ("train", "test", "extra")
STL10_SPLITS = ("train", "test", "unlabeled", "train+unlabeled")

LICENSES = {
    "mnist": "CC BY-SA 3.0 (LeCun, Cortes)",
    "fashion_mnist": "MIT (Zalando SE)",
    "kmnist": "CC BY-SA 4.0 (CODH)",
}
"""Of the data; those that are not listed state none."""


def mnist(
    root: str,
    split: str = "train",
    channels: int = 1,
    image_size: ImageSize = 32,
    download: bool = True,
) -> Source:
    """MNIST (LeCun et al. 1998), gray 28x28: see `torchvision_set`."""
    return _by_train_flag(mnist, "MNIST", root, split, channels, image_size, download)


def fashion_mnist(
    root: str,
    split: str = "train",
    channels: int = 1,
    image_size: ImageSize = 32,
    download: bool = True,
) -> Source:
    """Fashion-MNIST (Xiao et al. 2017), gray 28x28: see `torchvision_set`."""
    return _by_train_flag(
        fashion_mnist, "FashionMNIST", root, split, channels, image_size, download
    )


def kmnist(
    root: str,
    split: str = "train",
    channels: int = 1,
    image_size: ImageSize = 32,
    download: bool = True,
) -> Source:
    """KMNIST, cursive Japanese (Clanuwat et al. 2018), gray 28x28: see `torchvision_set`."""
    return _by_train_flag(kmnist, "KMNIST", root, split, channels, image_size, download)


def cifar10(
    root: str,
    split: str = "train",
    channels: int = 3,
    image_size: ImageSize = 32,
    download: bool = True,
) -> Source:
    """CIFAR-10 (Krizhevsky 2009), color 32x32: see `torchvision_set`."""
    return _by_train_flag(cifar10, "CIFAR10", root, split, channels, image_size, download)


def cifar100(
    root: str,
    split: str = "train",
    channels: int = 3,
    image_size: ImageSize = 32,
    download: bool = True,
) -> Source:
    """CIFAR-100 (Krizhevsky 2009), color 32x32 with 100 fine labels: see `torchvision_set`."""
    return _by_train_flag(cifar100, "CIFAR100", root, split, channels, image_size, download)


def svhn(
    root: str,
    split: str = "train",
    channels: int = 3,
    image_size: ImageSize = 32,
    download: bool = True,
) -> Source:
    """SVHN (Netzer et al. 2011), color 32x32, with a split ``extra``: see `torchvision_set`."""
    check_split(split, SVHN_SPLITS)
    source = torchvision_set(
        "svhn", "SVHN", root, split, channels, image_size, download, {"split": split}
    )
    if split == "train" and (download or (Path(root) / "test_32x32.mat").is_file()):
        source.held_out = partial(svhn, root, "test", channels, image_size, download)
    return source


def stl10(
    root: str,
    split: str = "unlabeled",
    channels: int = 3,
    image_size: ImageSize = 64,
    download: bool = True,
) -> Source:
    """STL-10 (Coates et al. 2011), color 96x96; splits with ``unlabeled`` have no labels.

    See `torchvision_set`.
    """
    check_split(split, STL10_SPLITS)
    source = torchvision_set(
        "stl10", "STL10", root, split, channels, image_size, download, {"split": split}
    )
    if "unlabeled" in split:
        source.labels = source.classes = None
    if split != "test":
        source.held_out = partial(stl10, root, "test", channels, image_size, download)
    return source


def _by_train_flag(
    make: Callable[..., Source],
    dataset: str,
    root: str,
    split: str,
    channels: int,
    image_size: ImageSize,
    download: bool,
) -> Source:
    """The set whose torchvision class has a ``train`` argument.

    The test part is always there with the rest.
    """
    check_split(split, SPLITS)
    flag = {"train": split == "train"}
    source = torchvision_set(
        make.__name__, dataset, root, split, channels, image_size, download, flag
    )
    if split == "train":
        source.held_out = partial(make, root, "test", channels, image_size, download)
    return source


def torchvision_set(
    name: str,
    dataset: str,
    root: str,
    split: str,
    channels: int,
    image_size: ImageSize,
    download: bool,
    arguments: dict[str, Any],
) -> Source:
    """A set of labeled images that torchvision holds in memory.

    Args:
        name: its name in errors and protocols.
        dataset: the class in `torchvision.datasets`.
        root: folder in which torchvision keeps it (``root/MNIST/raw``,
            ``root/cifar-10-batches-py``).
        split: one of those the set has; ``train`` holds out ``test``.
        channels: 1 or 3.
        image_size: what to make of the images; 28 pixels get a border of 2 to become 32.
        download: fetch what is missing.
        arguments: those that choose the split in torchvision.

    Raises:
        DataError: if there is no such split, or the files are missing and cannot be downloaded.
    """
    from torchvision import datasets

    try:
        data = vars(datasets)[dataset](root=root, download=download, **arguments)
    except (RuntimeError, OSError) as error:
        raise not_found(name, root, download, error) from error

    # Sets differ in layout, and in what they call their labels.
    images = fit_images(_channels_first(data.data), channels, image_size).contiguous()
    labels = torch.as_tensor(
        data.targets if hasattr(data, "targets") else data.labels, dtype=torch.int64
    )
    classes = getattr(data, "classes", None)
    return Source(name, split, images, labels, classes=classes, license=LICENSES.get(name, ""))


def not_found(name: str, root: str, download: bool, error: Exception) -> DataError:
    """The error for missing files that could not be downloaded."""
    reason = "it could not be downloaded" if download else "data.download is false"
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DataError(
        f"data={name} was not found in data.root={Path(root)} and {reason} ({cause}): set data.root"
        " to a folder that has it"
    )


def _channels_first(data: Tensor | np.ndarray[Any, Any]) -> Tensor:
    images = torch.as_tensor(data)
    if images.ndim == 3:
        return images.unsqueeze(1)
    return images if images.shape[1] == 3 else images.permute(0, 3, 1, 2)
