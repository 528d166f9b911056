"""Stacked MNIST: 1,000 modes, which a digit classifier can count."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.paths import cache_root
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import CPU, seeded_generator
from gan_zoo.core.types import ImageSize, height_and_width
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.torchvision_datasets import mnist
from gan_zoo.data.files.cache import cache_key, cached_images
from gan_zoo.data.files.image_cache import size_text

NUM_HELD_OUT = 10_000


def stacked_mnist(
    root: str,
    split: str = "train",
    num_samples: int = 50_000,
    seed: int = 0,
    image_size: ImageSize = 32,
    download: bool = True,
) -> Source:
    """Three random digits as red, green and blue (Metz et al. 2017, section 3.3.1).

    Samples are ``[num_samples, 3, S, S]``, labels ``100 r + 10 g + b`` from 0 to 999. Held out are
    10,000 made of the digits of MNIST's test split.

    Args:
        root, download, split: see `mnist`.
        num_samples: how many to make; they are kept in a memory-mapped cache of 3 S^2 bytes each.
        seed, image_size: of the choice of digits, and S.

    Raises:
        DataError: if MNIST is missing and cannot be downloaded, or a number is out of range.
    """
    held_out = partial(stacked_mnist, **{**locals(), "split": "test", "num_samples": NUM_HELD_OUT})
    if num_samples < 1:
        raise DataError(f"data.num_samples must be >= 1, got {num_samples}")

    # Three random digits for each sample.
    digits = mnist(root, split, 1, image_size, download)
    assert digits.labels is not None
    generator = seeded_generator(CPU, seed, "stacked_mnist", split)
    chosen = torch.randint(len(digits), (num_samples, 3), generator=generator)

    # Stacked once into a cache.
    key = cache_key("stacked_mnist", digits.fingerprint, num_samples, seed, split)
    images = digits.samples.squeeze(1).numpy()

    def fill(array: np.ndarray[Any, Any]) -> None:
        pieces = range(0, num_samples, 4096)
        for start in with_progress(pieces, len(pieces), f"Stacking {num_samples:,} digits (once)"):
            array[start : start + 4096] = images[chosen[start : start + 4096].numpy()]

    path = cache_root() / "images" / f"stacked_mnist-{size_text(image_size)}-{key}.npy"
    return Source(
        "stacked_mnist",
        split,
        cached_images(path, (num_samples, 3, *height_and_width(image_size)), fill),
        (digits.labels[chosen] * torch.tensor([100, 10, 1])).sum(1),
        classes=[f"{number:03d}" for number in range(1000)],
        held_out=held_out if split == "train" else None,
        fingerprint=key,
    )
