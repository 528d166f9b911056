"""The 1,797 handwritten digits of scikit-learn."""

from __future__ import annotations

import torch

from gan_zoo.core.types import ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import fit_images


def digits(channels: int = 1, image_size: ImageSize = 8) -> Source:
    """8x8 gray digits with 10 labels (UCI Optical Recognition of Handwritten Digits, test part)."""
    from sklearn.datasets import load_digits

    # Gray values are 0 to 16.
    data = load_digits()
    images = torch.from_numpy(data.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(data.target).long()
    return Source(
        "digits",
        "all",
        fit_images(images, channels, image_size),
        labels,
        classes=[str(digit) for digit in range(10)],
        license="CC BY 4.0 (UCI)",
    )
