"""Classification losses against distributions over classes.

Each ``(logits [B, K], targets) -> scalar``.

Targets are class numbers ``[B]``, or probabilities ``[B, K]`` (of a teacher, or several labels at
once).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.classification import checked
from gan_zoo.core.types import Positive, Share


class SoftTargets(nn.Module):
    """Distillation: cross-entropy against soft targets, T^2 E -sum_k q_k log softmax(z / T)_k.

    Hinton et al. 2015, section 2: q is the target distribution at the same temperature, q_k ~
    p_k^(1/T), and T^2 keeps the gradients' size as T grows. Class numbers become 1 - s for the
    class and s / K spread over all.

    Args:
        temperature: T, > 0.
        label_smoothing: s, in [0, 1); for class numbers alone.
    """

    def __init__(self, temperature: Positive = 2.0, label_smoothing: Share = 0.1) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        self.temperature = temperature
        self.label_smoothing = checked_smoothing(label_smoothing)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch."""
        logits = checked(logits)
        powers = distribution(targets, logits, self.label_smoothing) ** (1 / self.temperature)
        softened = powers / powers.sum(1, keepdim=True)
        log_p = (logits / self.temperature).log_softmax(1)
        return -(self.temperature**2) * (softened * log_p).sum(1).mean()


class CategoricalKL(nn.Module):
    """KL(q || p) of categorical distributions, E sum_k q_k (log q_k - log p_k), p = softmax(z).

    In the gradient it is cross-entropy against q. Class numbers become 1 - s for the class and s /
    K spread over all.

    Args:
        label_smoothing: s, in [0, 1); for class numbers alone.
    """

    def __init__(self, label_smoothing: Share = 0.1) -> None:
        super().__init__()
        self.label_smoothing = checked_smoothing(label_smoothing)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch, in nats."""
        logits = checked(logits)
        q = distribution(targets, logits, self.label_smoothing)
        # By xlogy, classes without probability add zero.
        return (torch.xlogy(q, q) - q * logits.log_softmax(1)).sum(1).mean()


class SigmoidCrossEntropy(nn.Module):
    """Binary cross-entropy: E mean_k [-t_k log sigma(z_k) - (1 - t_k) log(1 - sigma(z_k))].

    For samples that may belong to several classes at once: targets t are in [0, 1] and need not sum
    to 1. A class number is 1 for its class and 0 for all others.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over classes and the batch."""
        logits = checked(logits)
        return F.binary_cross_entropy_with_logits(logits, distribution(targets, logits))


def distribution(targets: Tensor, logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """Probabilities ``[B, K]``: the targets, or smoothed one-hot rows of class numbers ``[B]``.

    Raises:
        ValueError: if the targets are neither.
    """
    # Class numbers become rows, smoothed towards the uniform distribution.
    if targets.ndim == 1 and not targets.is_floating_point():
        one_hot = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        return one_hot * (1 - smoothing) + smoothing / logits.shape[1]
    if targets.shape != logits.shape:
        allowed = f"class numbers [B] or probabilities {list(logits.shape)}"
        raise ValueError(f"targets must be {allowed}, got shape {list(targets.shape)}")
    return targets.to(logits.dtype)


def checked_smoothing(label_smoothing: float) -> float:
    """``label_smoothing``, or a `ValueError` if it is not in [0, 1)."""
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
    return label_smoothing
