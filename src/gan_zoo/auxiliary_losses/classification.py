"""Losses of classes, of pairs and of codes; each returns a scalar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.distributed import gather_over_ranks, mean_over_ranks
from gan_zoo.core.types import Positive, Share, Weight, at_least_float32


class CrossEntropy(nn.Module):
    """The mean negative log-likelihood of the labels, ``(logits [B, K], labels [B]) -> scalar``.

    With smoothing s (Szegedy et al. 2016, section 7) the target is 1 - s + s / K for the label and
    s / K for the other classes. With class weights the mean is weighted by those of the labels in
    the global batch.

    Args:
        label_smoothing: s, in [0, 1).
        class_weights: K numbers >= 0, or None for equal ones.
    """

    class_weights: Tensor | None

    def __init__(
        self, label_smoothing: Share = 0.0, class_weights: Sequence[Weight] | None = None
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", class_weight_tensor(class_weights), persistent=False)
        self.mean_of_samples = class_weights is None

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of raw ``logits`` against class numbers."""
        logits = checked(logits, self.class_weights)
        if self.class_weights is None:
            return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        weight = self.class_weights.to(logits.dtype)

        # Weighted by the labels of the global batch.
        total = F.cross_entropy(
            logits, labels, weight=weight, label_smoothing=self.label_smoothing, reduction="sum"
        )
        return total / mean_over_ranks(weight[labels].sum())


class Focal(nn.Module):
    """Focal loss, ``(logits [B, K], labels [B]) -> scalar``: easy samples are down-weighted.

    Lin et al. 2017, eq. 4 and 5, for several classes: E -w_y (1 - p_y)^gamma log p_y, with p the
    softmax and the mean weighted by w as in `CrossEntropy`; gamma = 0 is cross-entropy.

    Args:
        gamma: focus, >= 0; 2 in the paper.
        class_weights: K numbers >= 0, or None for equal ones.
    """

    class_weights: Tensor | None

    def __init__(self, gamma: Weight = 2.0, class_weights: Sequence[Weight] | None = None) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma must be >= 0, got {gamma}")
        self.gamma = gamma
        self.register_buffer("class_weights", class_weight_tensor(class_weights), persistent=False)
        self.mean_of_samples = class_weights is None

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of raw ``logits`` against class numbers."""
        logits = checked(logits, self.class_weights)
        cross_entropy = F.cross_entropy(logits, labels, reduction="none")

        # 1 - p_y, kept off zero, where its power may have no slope.
        one_minus_p = -torch.expm1(-cross_entropy)
        terms = (
            one_minus_p.clamp_min(torch.finfo(one_minus_p.dtype).tiny) ** self.gamma * cross_entropy
        )

        # Weighted by the labels of the global batch.
        if self.class_weights is None:
            return terms.mean()
        weight = self.class_weights.to(logits.dtype)[labels]
        return (weight * terms).sum() / mean_over_ranks(weight.sum())


class Triplet(nn.Module):
    """Triplet loss, ``(anchor, match, other) -> scalar``: the match must be nearer by a margin.

    Schroff et al. 2015 (FaceNet), eq. 2, with the Euclidean distance itself, not squared:
    E (norm(anchor - match) - norm(anchor - other) + margin)+ over rows of features ``[B, F]``.

    Args:
        margin: > 0, in the features' units.
    """

    def __init__(self, margin: Positive = 1.0) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f"margin must be > 0, got {margin}")
        self.margin = margin

    def forward(self, anchor: Tensor, match: Tensor, other: Tensor) -> Tensor:
        """The mean over the batch."""
        anchor, match, other = (at_least_float32(rows) for rows in (anchor, match, other))
        return F.triplet_margin_loss(anchor, match, other, margin=self.margin)


class Contrastive(nn.Module):
    """InfoNCE, ``(first, second) -> scalar``: each row must identify its partner in the batch.

    InfoNCE (van den Oord et al. 2018, eq. 4) both ways, as in Radford et al. 2021: cross-entropies
    over the cosines of all pairs of features ``[B, F]``, divided by a temperature. The batch is the
    global one, so that any number of processes computes the same gradients. It is log(batch) for
    random features. Raises `ValueError` for a single pair.

    Args:
        temperature: > 0; 0.07 is the second paper's start.
    """

    mean_of_samples: ClassVar[bool] = False

    def __init__(self, temperature: Positive = 0.07) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        self.temperature = temperature

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The mean of both ways over the global batch."""
        # Rows have length 1, so that their products are cosines.
        ours, theirs = (
            gather_over_ranks(F.normalize(at_least_float32(rows), dim=1))
            for rows in (first, second)
        )
        if len(ours) < 2:
            raise ValueError(f"the contrastive term needs a batch of >= 2 pairs, got {len(ours)}")

        # Both directions, each with row i as the partner of row i.
        with torch.autocast(ours.device.type, enabled=False):
            logits = ours @ theirs.T / self.temperature
        partners = torch.arange(len(ours), device=ours.device)
        return (F.cross_entropy(logits, partners) + F.cross_entropy(logits.T, partners)) / 2


class GaussianKL(nn.Module):
    """KL(N(mu, sigma^2) || N(0, 1)) of latents, ``(mu, log_variance) -> scalar``.

    Kingma & Welling 2014, appendix B: 1/2 sum (mu^2 + sigma^2 - 1 - log sigma^2), the mean over the
    batch ``[B, D]``. Beyond log sigma^2 = 20 the variance continues along its tangent, so that no
    sample of a bad step is infinite.
    """

    def forward(self, mu: Tensor, log_variance: Tensor) -> Tensor:
        """The mean over the batch."""
        mu = at_least_float32(mu)
        log_variance = at_least_float32(log_variance)
        capped = log_variance.clamp_max(20.0)
        excess = capped.expm1() + capped.exp() * (log_variance - capped)  # the variance minus 1
        return 0.5 * (mu.square() + excess - log_variance).flatten(1).sum(1).mean()


class GaussianLikelihood(nn.Module):
    """Gaussian negative log-likelihood, ``(mu, log_variance, codes), each [B, D] -> scalar``.

    E sum_d 1/2 (log 2 pi + v_d + (c_d - mu_d)^2 / e^(v_d)), v the log variance. The likelihood of a
    point has no bound: v counts as -6 below that, where a code is practically known, and the
    precision e^(-v) continues along its tangent, e^6 (1 - 6 - v): a head that has gone too far is
    still pulled back by its error, where a clamp would leave it there.
    """

    def forward(self, mu: Tensor, log_variance: Tensor, codes: Tensor) -> Tensor:
        """The mean over samples, summed over dimensions."""
        v = at_least_float32(log_variance)
        bounded = v.clamp_min(-6.0)
        precision = (-bounded).exp() * (1 + (-6.0 - v).relu())
        squared = (codes - at_least_float32(mu)).square()
        terms = 0.5 * (math.log(2 * math.pi) + bounded + squared * precision)
        return terms.sum(1).mean()


def class_weight_tensor(weights: Sequence[float] | None) -> Tensor | None:
    """``weights`` as a tensor ``[K]``, or None."""
    if weights is None:
        return None
    if not len(weights) or min(weights) < 0 or max(weights) == 0:
        raise ValueError(f"class_weights must be numbers >= 0, not all 0, got {list(weights)}")
    return torch.tensor([float(weight) for weight in weights])


def checked(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """The logits in float32 at least; raises `ValueError` unless they are ``[B, K]``."""
    if logits.ndim != 2:
        raise ValueError(f"logits must be [B, K], got shape {list(logits.shape)}")
    if weights is not None and len(weights) != logits.shape[1]:
        raise ValueError(
            f"class_weights must have one number for each of the {logits.shape[1]} classes, got"
            f" {len(weights)}"
        )
    # A softmax in half precision would lose small probabilities.
    return at_least_float32(logits)
