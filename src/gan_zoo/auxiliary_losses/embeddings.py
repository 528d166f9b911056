"""Losses of normalized embeddings with their class proxies.

Each is ``(embeddings [B, F], proxies [K, F], labels [B]) -> scalar``, rows of length 1. Embeddings
of the whole global batch are compared, so that any number of processes computes the same gradients.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import gather_over_ranks, gather_whole_numbers_over_ranks
from gan_zoo.core.types import Fraction, Positive, at_least_float32


class ConditionalContrastive(nn.Module):
    """The 2C loss: an embedding is near its class's proxy and the embeddings of its class.

    Kang & Park 2020 (ContraGAN), eq. 8. With s_i = cos(h_i, e_yi) / t and s_ik = cos(h_i, h_k) / t:
    E_i -log [(exp s_i + sum_{k != i, y_k = y_i} exp s_ik) / (exp s_i + sum_{k != i} exp s_ik)].

    Args:
        temperature: t, > 0; 1 in the paper's CIFAR-10 runs.
    """

    mean_of_samples: ClassVar[bool] = False

    def __init__(self, temperature: Positive = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        self.temperature = temperature

    def forward(self, embeddings: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """The mean over the global batch."""
        to_proxy, to_others, same_class = similarities(embeddings, proxies, labels)
        own = to_proxy[:, None] / self.temperature
        others = to_others / self.temperature

        # Nothing is compared with itself.
        is_self = torch.eye(len(own), dtype=torch.bool, device=own.device)
        others = others.masked_fill(is_self, -torch.inf)
        positives = others.masked_fill(~same_class, -torch.inf)

        # Both sums of eq. 8, in logarithms so that no exponential overflows.
        numerator = torch.cat([own, positives], 1).logsumexp(1)
        denominator = torch.cat([own, others], 1).logsumexp(1)
        return (denominator - numerator).mean()


class DataToDataCrossEntropy(nn.Module):
    """The D2D-CE loss: easy positives and easy negatives have no gradient.

    Kang et al. 2021 (ReACGAN), eq. 6. With a_i = (m - cos(h_i, e_yi))+ / t and b_ik = (cos(h_i,
    h_k) - (1 - m))+ / t: E_i [a_i + log(exp(-a_i) + sum_{k: y_k != y_i} exp b_ik)].

    Args:
        margin: m, in [0, 1]; 0.98 in the paper.
        temperature: t, > 0; 0.5 in the paper's CIFAR-10 runs.
    """

    mean_of_samples: ClassVar[bool] = False

    def __init__(self, margin: Fraction = 0.98, temperature: Positive = 0.5) -> None:
        super().__init__()
        if not 0 <= margin <= 1:
            raise ValueError(f"margin must be in [0, 1], got {margin}")
        if temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        self.margin = margin
        self.temperature = temperature

    def forward(self, embeddings: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """The mean over the global batch."""
        to_proxy, to_others, same_class = similarities(embeddings, proxies, labels)
        attraction = (self.margin - to_proxy).relu() / self.temperature
        repulsion = (to_others - (1 - self.margin)).relu() / self.temperature
        # Only embeddings of other classes repel.
        repulsion = repulsion.masked_fill(same_class, -torch.inf)
        # The logarithm of eq. 6, without overflow.
        all_terms = torch.cat([-attraction[:, None], repulsion], 1).logsumexp(1)
        return (attraction + all_terms).mean()


def similarities(
    embeddings: Tensor, proxies: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines to the own proxy ``[N]`` and to all embeddings ``[N, N]``, and which share a class.

    N is the size of the global batch.
    """
    h = gather_over_ranks(at_least_float32(embeddings))
    y = gather_whole_numbers_over_ranks(labels)
    with torch.autocast(h.device.type, enabled=False):
        to_proxy = (h * at_least_float32(proxies)[y]).sum(1)
        to_others = h @ h.T
    return to_proxy, to_others, y[:, None] == y
