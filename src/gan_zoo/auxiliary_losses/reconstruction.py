"""Reconstruction losses: ``(output, target) -> scalar``, the mean over all elements."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from annotated_types import Le
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.distributed import gather_over_ranks, rank
from gan_zoo.core.similarity import structural_similarity
from gan_zoo.core.types import Positive, at_least_float32


class Reconstruction(nn.Module):
    """A distance of samples ``[B, ...]``, 0 (or least) where they are equal.

    A subclass implements `distance`, which is given float32 at least, outside of autocast. Raises
    `ValueError` for samples of different shapes, which would broadcast.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean distance of ``output`` to ``target``, both ``[B, ...]``, as a scalar."""
        # Broadcasting would give a number for images of different sizes.
        if output.shape != target.shape:
            raise ValueError(
                f"output and target must have the same shape, got {list(output.shape)} and"
                f" {list(target.shape)}"
            )
        with torch.autocast(output.device.type, enabled=False):
            return self.distance(at_least_float32(output), at_least_float32(target))

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean distance of samples of equal shape."""
        raise NotImplementedError


class L1(Reconstruction):
    """The mean absolute difference; the cycle term of CycleGAN and the L1 term of pix2pix."""

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(output, target)


class L2(Reconstruction):
    """The mean squared difference."""

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, target)


class SmoothL1(Reconstruction):
    """Smooth L1: d^2 / (2 beta) where abs(d) < beta, else abs(d) - beta / 2.

    Girshick 2015 (Fast R-CNN), eq. 3, with beta = 1. It is `Huber` divided by its delta.

    Args:
        beta: where the two pieces meet, > 0.
    """

    def __init__(self, beta: Positive = 1.0) -> None:
        super().__init__()
        self.beta = check_positive("beta", beta)

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(output, target, beta=self.beta)


class Huber(Reconstruction):
    """Huber loss: d^2 / 2 where abs(d) < delta, else delta (abs(d) - delta / 2).

    Huber 1964, section 2. A large delta gives half of `L2`.

    Args:
        delta: the largest difference that still counts squared, and the largest slope, > 0.
    """

    def __init__(self, delta: Positive = 1.0) -> None:
        super().__init__()
        self.delta = check_positive("delta", delta)

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(output, target, delta=self.delta)


class LogCosh(Reconstruction):
    """log cosh of the difference: d^2 / 2 near zero, abs(d) - log 2 far away.

    Its slope is tanh(d).
    """

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        difference = output - target
        # The logarithm of cosh in a form that does not overflow.
        return (difference + F.softplus(-2.0 * difference) - math.log(2.0)).mean()


class Charbonnier(Reconstruction):
    """A differentiable absolute difference, sqrt(d^2 + epsilon^2), which is epsilon at zero.

    Charbonnier et al. 1994; Lai et al. 2017 (LapSRN), eq. 2, with epsilon = 1e-3.

    Args:
        epsilon: below it the distance is round instead of pointed, > 0.
    """

    def __init__(self, epsilon: Positive = 1e-3) -> None:
        super().__init__()
        self.epsilon = check_positive("epsilon", epsilon)

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        difference = output - target
        return torch.hypot(difference, torch.full_like(difference, self.epsilon)).mean()


class Robust(Reconstruction):
    """Barron's robust loss: from least squares to losses that ignore outliers.

    Barron 2019, eq. 8, with z = (d / scale)^2 and b = abs(alpha - 2): b / alpha ((z / b + 1)^(alpha
    / 2) - 1). Its limits are z / 2 at alpha = 2 (least squares), log(z / 2 + 1) at 0 (Cauchy) and 1
    - exp(-z / 2) at minus infinity (Welsch); 1 is sqrt(z + 1) - 1 (Charbonnier), -2 is 2 z / (z +
    4) (Geman-McClure). d^2 / (2 scale^2) near zero.

    Args:
        alpha: shape, at most 2; minus infinity (``-.inf`` in YAML) is allowed.
        scale: the difference at which a sample begins to count as an outlier, > 0.
    """

    def __init__(self, alpha: Annotated[float, Le(2)] = 1.0, scale: Positive = 0.1) -> None:
        super().__init__()
        if not alpha <= 2:
            raise ValueError(f"alpha must be <= 2, got {alpha}")
        self.alpha = float(alpha)
        self.scale = check_positive("scale", scale)

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        z = ((output - target) / self.scale).square()
        return self.penalty(z).mean()

    def penalty(self, z: Tensor) -> Tensor:
        """The penalty of squared, scaled differences."""
        alpha = self.alpha
        if alpha == 2:
            return z / 2
        if alpha == 0:
            return torch.log1p(z / 2)
        if alpha == -math.inf:
            return -torch.expm1(-z / 2)
        # (1 + z / b)^(alpha / 2) - 1, which must not cancel where alpha or z is small
        b = abs(alpha - 2)
        return b / alpha * torch.expm1(alpha / 2 * torch.log1p(z / b))


class SSIM(Reconstruction):
    """1 - structural similarity of images ``[B, C, H, W]`` in [-1, 1].

    In [0, 2], 0 where they are equal.

    Wang et al. 2004, eq. 13, with the paper's Gaussian window of 11 pixels and standard deviation
    1.5, k1 = 0.01 and k2 = 0.03, intensities counted from 0 to 2. Images smaller than the window
    get the largest odd one that fits, and a standard deviation in proportion.

    Args:
        sigma: standard deviation of the window in pixels, > 0; the window reaches 3.5 of them.
    """

    def __init__(self, sigma: Positive = 1.5) -> None:
        super().__init__()
        self.sigma = check_positive("sigma", sigma)

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        return 1.0 - structural_similarity(output, target, self.sigma).mean()


class TripletDistance(Reconstruction):
    """Triplet loss: an output must be nearer to its target than to another target by a margin.

    Schroff et al. 2015 (FaceNet), eq. 2, with the root mean squared difference as distance: E
    (d(rebuilt_i, target_i) - d(rebuilt_i, target_j) + margin)+, where target j is the one that
    follows i in the global batch. It is 0 where every sample is nearer to its own target by the
    margin: smaller details have no loss, so use it in addition to an adversarial term. Raises
    `ValueError` for a batch of one.

    Args:
        margin: > 0, in the units of the samples, which are in [-1, 1].
    """

    mean_of_samples: ClassVar[bool] = False

    def __init__(self, margin: Positive = 0.2) -> None:
        super().__init__()
        self.margin = check_positive("margin", margin)

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        gathered = gather_over_ranks(target)
        if len(gathered) < 2:
            raise ValueError(f"the triplet term needs a batch of >= 2 samples, got {len(gathered)}")

        # The target that follows each of this process's samples in the global batch.
        others = gathered.roll(-1, 0)[rank() * len(target) :][: len(target)]
        violation = (
            self.margin + root_mean_square(output - target) - root_mean_square(output - others)
        )
        return violation.relu().mean()


def root_mean_square(difference: Tensor) -> Tensor:
    """The root of the mean squared difference of each sample, ``[B]``.

    Its derivative at zero is zero.
    """
    length: Tensor = torch.linalg.vector_norm(difference.flatten(1), dim=1)
    return length / math.sqrt(difference[0].numel())


def check_positive(argument: str, value: float) -> float:
    """``value``, or a `ValueError` naming ``argument`` if it is not a finite number above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{argument} must be > 0, got {value}")
    return float(value)
