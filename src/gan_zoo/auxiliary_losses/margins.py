"""Classification losses on the margins of logits; each ``(logits [B, K], labels [B]) -> scalar``.

The margins of a sample with label y are z_y - z_j for the other classes j: positive where the label
is ahead. Adding a constant to all logits changes nothing.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Le
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.classification import checked
from gan_zoo.core.types import Positive


class LargeMarginSoftmax(nn.Module):
    """Cross-entropy with an additive margin: E -log softmax(z - m e_y)_y.

    The additive margin of Wang et al. 2018 (AM-Softmax), eq. 5, on raw logits: their cosines are
    bounded, so there a scale belongs to it, and logits have their own. The angular margin of Liu et
    al. 2016 (L-Softmax) needs the last layer's weights, which a loss of logits does not see.

    Args:
        margin: m, > 0; 0 would be cross-entropy.
    """

    def __init__(self, margin: Positive = 1.0) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f"margin must be > 0, got {margin}")
        self.margin = margin

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch."""
        logits = checked(logits)
        handicap = self.margin * F.one_hot(labels, logits.shape[1]).to(logits.dtype)
        return F.cross_entropy(logits - handicap, labels)


class MulticlassHinge(nn.Module):
    """Multiclass hinge loss: E (m - min_j (z_y - z_j))+.

    Crammer & Singer 2001, eq. 3, with m = 1.

    Args:
        margin: m, > 0.
    """

    def __init__(self, margin: Positive = 1.0) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f"margin must be > 0, got {margin}")
        self.margin = margin

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch."""
        smallest = margins(logits, labels).min(1).values
        return (self.margin - smallest).relu().mean()


class ExponentialMargins(nn.Module):
    """Exponential loss of the margins: E sum_{j != y} exp(-(z_y - z_j)).

    AdaBoost.M2's (Freund & Schapire 1997, section 5.2), with weight 1 for each other class. At the
    best logits z_j = 1/2 log p_j + constant. Where a class is ahead of the label by more than
    ``limit`` the exponential continues along its tangent, so that it stays finite.

    Args:
        limit: > 0.
    """

    def __init__(self, limit: Positive = 10.0) -> None:
        super().__init__()
        if limit <= 0:
            raise ValueError(f"limit must be > 0, got {limit}")
        self.limit = limit

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The sum over other classes, the mean over the batch."""
        behind = -margins(logits, labels)
        cost = behind.clamp_max(self.limit).exp() * (1 + (behind - self.limit).relu())
        return cost.sum(1).mean()


class LogisticMargins(nn.Module):
    """Logistic loss of the margins: E sum_{j != y} log(1 + exp(-(z_y - z_j))).

    Friedman, Hastie & Tibshirani 2000, section 4, for each pair of classes; with two classes it is
    cross-entropy.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The sum over other classes, the mean over the batch."""
        return F.softplus(-margins(logits, labels)).sum(1).mean()


class ClassTriplet(nn.Module):
    """Triplet loss of probabilities with class proxies: E (d_y - min_j d_j + margin)+.

    The triplet loss (Schroff et al. 2015, eq. 2) with the corners of the simplex, where a class is
    certain, as proxies of the classes (Movshovitz-Attias et al. 2017): d_j is the Euclidean
    distance of softmax(z) from the corner of class j.

    Args:
        margin: in (0, sqrt 2]; sqrt 2 is the distance of two corners.
    """

    def __init__(self, margin: Annotated[Positive, Le(2**0.5)] = 1.0) -> None:
        super().__init__()
        if not 0 < margin <= 2**0.5:
            raise ValueError(f"margin must be in (0, sqrt 2], got {margin}")
        self.margin = margin

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch."""
        p = checked(logits).softmax(1)
        # |p - e_j|^2 = |p|^2 + 1 - 2 p_j, which is at least (1 - p_j)^2
        squared = p.square().sum(1, keepdim=True) + 1 - 2 * p
        # The root has no finite slope at zero.
        distances = squared.clamp_min(1e-12).sqrt()

        # The distance from the label's corner against that from the nearest other one.
        is_label = F.one_hot(labels, p.shape[1]).bool()
        own = distances[is_label]
        nearest_other = distances.masked_fill(is_label, torch.inf).min(1).values
        return (own - nearest_other + self.margin).relu().mean()


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """How far the label is ahead of each other class, ``[B, K - 1]``."""
    logits = checked(logits)
    others = torch.arange(logits.shape[1] - 1, device=logits.device)
    # Classes from the label on move up by one, which leaves out the label.
    columns = others + (others >= labels[:, None]).long()
    return logits.gather(1, labels[:, None]) - logits.gather(1, columns)
