"""The patchwise contrastive loss of an image and its translation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import Positive, at_least_float32


class PatchNCE(nn.Module):
    """A patch of the output is more like the same patch of the input than like the others of it.

    Park et al. 2020 (CUT), eq. 3. For each position i of an image, with unit vectors q_i of the
    output and k_i of the input: -log [exp(q_i k_i / t) / sum_j exp(q_i k_j / t)], where j are
    positions of the same image. Keys carry no gradient.

    Args:
        temperature: t, > 0; 0.07 in the paper.
    """

    def __init__(self, temperature: Positive = 0.07) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        self.temperature = temperature

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The mean over images and positions, for rows ``[B, P, F]`` of length 1.

        Raises:
            ValueError: if the shapes differ.
        """
        if queries.ndim != 3 or queries.shape != keys.shape:
            raise ValueError(
                "queries and keys must both be [B, P, F], got"
                f" {list(queries.shape)} and {list(keys.shape)}"
            )
        queries, keys = at_least_float32(queries), at_least_float32(keys.detach())

        # Each position of an image against all positions of that image.
        similarities = queries @ keys.mT / self.temperature
        size, positions, _ = similarities.shape
        own = torch.arange(positions, device=similarities.device).repeat(size)
        return F.cross_entropy(similarities.flatten(0, 1), own)
