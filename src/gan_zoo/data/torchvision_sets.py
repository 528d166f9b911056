"""Data sets that torchvision reads and downloads."""

from __future__ import annotations

from pathlib import Path

import torch

from gan_zoo.data.source import DataError, Source, fit_images

SPLITS = ("train", "test")


def mnist(root: str, split: str = "train", channels: int = 1, image_size: int = 32, download: bool = True) -> Source:
    """MNIST (LeCun et al. 1998): see `mnist_like`."""
    return mnist_like("mnist", "MNIST", root, split, channels, image_size, download)


def fashion_mnist(
    root: str, split: str = "train", channels: int = 1, image_size: int = 32, download: bool = True
) -> Source:
    """Fashion-MNIST (Xiao et al. 2017): see `mnist_like`."""
    return mnist_like("fashion_mnist", "FashionMNIST", root, split, channels, image_size, download)


def mnist_like(
    name: str, dataset: str, root: str, split: str, channels: int, image_size: int, download: bool
) -> Source:
    """MNIST or one of its replacements: grey 28x28 images with 10 labels.

    Args:
        name: how errors and protocols call it.
        dataset: the class in `torchvision.datasets`, and the folder below ``root``.
        root: folder in which torchvision keeps it (``root/MNIST/raw``).
        split: ``train`` or ``test``.
        channels, image_size: what to make of the images; 28 pixels get a border of 2 to become 32.
        download: fetch what is missing.

    Raises:
        DataError: if the files are missing and cannot be had.
    """
    from torchvision import datasets

    if split not in SPLITS:
        raise DataError(f"data.split must be one of {', '.join(SPLITS)}, got {split!r}")
    try:
        data = vars(datasets)[dataset](root=root, train=split == "train", download=download)
    except (RuntimeError, OSError) as error:
        wish = "it could not be downloaded" if download else "data.download is false"
        raise DataError(
            f"data={name} was not found in data.root={Path(root)} and {wish} ({_first_line(error)}): set data.root to "
            "a folder that has it"
        ) from error
    images = fit_images(data.data.unsqueeze(1), channels, image_size)
    return Source(name, split, images, data.targets.to(torch.int64))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
