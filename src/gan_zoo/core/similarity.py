"""The structural similarity of images."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure


def structural_similarity(output: Tensor, target: Tensor, sigma: float = 1.5) -> Tensor:
    """SSIM of each pair of images ``[B, C, H, W]`` in [-1, 1]: ``[B]`` in [-1, 1], 1 where they are
    equal.

    Wang et al. 2004, eq. 13, with a Gaussian window, k1 = 0.01 and k2 = 0.03, intensities counted
    from 0 to 2; the mean over channels.

    Args:
        sigma: standard deviation of the window in pixels, which reaches 3.5 of them; smaller where
            the window would not fit into the image.

    Raises:
        ValueError: for anything but images of at least 3 pixels.
    """
    # A single image has its similarity as a scalar.
    similarity = structural_similarity_index_measure(
        output + 1.0,
        target + 1.0,
        sigma=window_sigma(output, sigma),
        reduction="none",
        data_range=2.0,
    )
    assert isinstance(similarity, Tensor)
    return similarity.reshape(len(output))


def window_sigma(x: Tensor, sigma: float) -> float:
    """``sigma``, or the largest one whose window fits into the images ``[B, C, H, W]``."""
    if x.ndim != 4 or min(x.shape[2:]) < 3:
        raise ValueError(
            f"SSIM needs images [B, C, H, W] of 3 pixels or more, got shape {list(x.shape)}"
        )

    # The window reaches 3.5 standard deviations to each side, and must fit.
    reach = (min(x.shape[2:]) - 1) // 2
    return sigma if int(3.5 * sigma + 0.5) <= reach else reach / 3.5
