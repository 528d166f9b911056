"""The Inception score formula, over any classifier."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.metrics.base import require_finite

SPLITS = 10
"""As Salimans et al. 2016 and the papers that follow them have it."""
SEED = 2020
"""Of the shuffle before splitting; that of torch-fidelity."""


class Spread(NamedTuple):
    """Mean and standard deviation (over splits, divided by their number) of a score."""

    mean: Tensor
    std: Tensor


class InceptionScore(Metric):
    """exp E_x KL(p(y|x) || p(y)) over each of ten splits (Salimans et al. 2016), from class logits
    ``[B, K]``.

    Samples 0 .. N-1 are shuffled once, always alike, and cut into splits of N / 10; p(y) is the
    mean over a split. The score is the mean over splits, between 1 and K, and its spread their
    standard deviation. Only float64 sums are kept for each split, so the value depends neither on
    the order nor on the number of processes.

    Args:
        num_classes: K.
        num_samples: N, over all processes.
        splits: how many; at most one for each sample is made.
    """

    full_state_update = False
    count: Tensor
    negative_entropy: Tensor
    total: Tensor

    def __init__(
        self, num_classes: int, num_samples: int, splits: int = SPLITS, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        splits = max(1, min(splits, num_samples))
        self.split_of = splits_of(num_samples, splits)
        for name, shape in {"count": (), "negative_entropy": (), "total": (num_classes,)}.items():
            self.add_state(
                name, torch.zeros(splits, *shape, dtype=torch.float64), dist_reduce_fx="sum"
            )
        self.set_dtype(torch.float64)

    def update(self, logits: Tensor, start: int = 0) -> None:
        """Add the logits of samples ``start`` ... ``start + B - 1``."""
        log_p = logits.to(self.count.device).double().log_softmax(1)
        split = self.split_of[start : start + len(log_p)].to(log_p.device)
        self.count.index_add_(0, split, torch.ones_like(log_p[:, 0]))
        self.negative_entropy.index_add_(0, split, (log_p.exp() * log_p).sum(1))
        self.total.index_add_(0, split, log_p.exp())

    def compute(self) -> Spread:
        """The score of all samples so far, and its spread; `DataError` if a logit is not finite."""
        require_finite(self.negative_entropy, "class logits of images")

        # Splits that no sample has reached are left out.
        seen = self.count > 0
        marginal = self.total[seen] / self.count[seen, None]
        negative_entropy = self.negative_entropy[seen] / self.count[seen]

        # The mean KL divergence is the entropy of p(y) minus the mean entropy of p(y|x).
        scores = torch.exp(negative_entropy - torch.xlogy(marginal, marginal).sum(1))
        return Spread(scores.mean(), scores.std(correction=0))


def splits_of(num_samples: int, splits: int) -> Tensor:
    """The split ``[N]`` of each sample: a fixed shuffle, cut at multiples of N / splits.

    Without the shuffle a split would depend on how samples are ordered: those of a conditional
    model may come sorted by what they were asked for.
    """
    shuffled = torch.from_numpy(np.random.RandomState(SEED).permutation(num_samples))
    edges = [number * num_samples // splits for number in range(splits + 1)]
    split = torch.empty(num_samples, dtype=torch.int64)
    for number in range(splits):
        split[shuffled[edges[number] : edges[number + 1]]] = number
    return split
