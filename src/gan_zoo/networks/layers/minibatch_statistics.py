"""Statistics over the batch, which let a discriminator detect mode collapse."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STATISTICS = ("none", "stddev", "difference")


class MinibatchStatistic(nn.Module):
    """Appends one channel that measures how different the samples of a group are.

    ``stddev``: the standard deviation over the group of every activation, averaged to one number
    that all samples of the group get (Karras et al. 2018, section 3). ``difference``: for each
    sample its mean distance from the group's mean, |h - mean h| averaged over channels and
    positions.

    Maps ``[B, C, H, W]`` or ``[B, F]`` to one channel more.

    Args:
        statistic: ``stddev`` or ``difference``.
        group: samples in a group; batches that it does not divide are one group.
    """

    def __init__(self, statistic: str, group: int = 4) -> None:
        super().__init__()
        if statistic not in STATISTICS[1:]:
            raise ValueError(f"minibatch must be one of {', '.join(STATISTICS)}, got {statistic!r}")
        if group < 2:
            raise ValueError(f"group must be >= 2, got {group}")
        self.statistic = statistic
        self.group = group

    def forward(self, h: Tensor) -> Tensor:
        size = len(h)
        group = self.group if size % self.group == 0 else size
        # Sample i is in group i mod (size / group).
        groups = h.reshape(group, size // group, *h.shape[1:])
        deviation = groups - groups.mean(0, keepdim=True)
        if self.statistic == "stddev":
            statistic = (deviation.square().mean(0) + 1e-8).sqrt().flatten(1).mean(1).repeat(group)
        else:
            statistic = deviation.abs().flatten(2).mean(2).flatten()

        # One more channel, the same at all positions.
        channel = statistic.view(-1, *[1] * (h.ndim - 1)).expand(-1, 1, *h.shape[2:])
        return torch.cat([h, channel], 1)
