"""The Inception score formula, over any classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class InceptionScore(Metric):
    """exp E_x KL(p(y|x) || p(y)) over one split (Salimans et al. 2016), from class logits ``[B, K]``.

    Between 1 and K. Only sums are kept, so the value depends neither on the order nor on the number of processes.
    """

    full_state_update = False
    count: Tensor
    negative_entropy: Tensor
    total: Tensor

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("negative_entropy", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(num_classes, dtype=torch.float64), dist_reduce_fx="sum")
        self.set_dtype(torch.float64)

    def update(self, logits: Tensor) -> None:
        """Add a batch of logits."""
        log_p = logits.to(self.count.device).double().log_softmax(1)
        self.count += len(log_p)
        self.negative_entropy += (log_p.exp() * log_p).sum()
        self.total += log_p.exp().sum(0)

    def compute(self) -> Tensor:
        """The score of all samples so far."""
        marginal = self.total / self.count
        return torch.exp(self.negative_entropy / self.count - torch.xlogy(marginal, marginal).sum())
