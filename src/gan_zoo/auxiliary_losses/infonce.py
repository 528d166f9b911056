"""Contrastive bounds of mutual information."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import gather_over_ranks
from gan_zoo.core.types import at_least_float32


class LocalGlobalInfoNCE(nn.Module):
    """The features of an image's places tell its global features from those of other images.

    Hjelm et al. 2019 (Deep InfoMax) and Lee et al. 2021 (InfoMax-GAN), eq. 6. With local features
    l_ni of place i in image n and global ones g_n,

        E_n E_i -log [exp(l_ni . g_n) / (exp(l_ni . g_n) + sum_{m != n} sum_j exp(l_mj . g_n))].

    Places of the same image are no negatives. Images of the whole global batch are compared, so
    that any number of processes computes the same gradients.
    """

    mean_of_samples: ClassVar[bool] = False

    def forward(self, local: Tensor, globals_: Tensor) -> Tensor:
        """The mean over the global batch, a scalar.

        Args:
            local: ``[B, N, R]``, N places.
            globals_: ``[B, R]``.
        """
        local = gather_over_ranks(at_least_float32(local).flatten(1)).view(-1, *local.shape[1:])
        globals_ = gather_over_ranks(at_least_float32(globals_))

        # Products [n, m, j] of global features n with all places j of image m.
        products = torch.einsum("nr,mjr->nmj", globals_, local)
        images = torch.arange(len(local), device=local.device)
        positives = products[images, images]

        # One sum over other images serves all places of an image.
        is_self = torch.eye(len(local), dtype=torch.bool, device=local.device)
        negatives = products.masked_fill(is_self[:, :, None], -torch.inf).flatten(1).logsumexp(1)
        return (torch.logaddexp(positives, negatives[:, None]) - positives).mean()
