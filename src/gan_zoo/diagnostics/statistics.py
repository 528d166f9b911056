"""Numbers in which the ways of failing show, whatever the loss and the network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 16  # pixels: what differs below that is texture and noise


def features(samples: Tensor) -> Tensor:
    """Samples ``[B, ...]`` as float32 vectors ``[B, D]`` in which alike samples are near: images
    are made small.
    """
    if samples.ndim == 4 and min(samples.shape[-2:]) > SIDE:
        samples = F.adaptive_avg_pool2d(samples, SIDE)
    return samples.detach().float().flatten(1)


def rms_deviation(points: Tensor) -> Tensor:
    """The root of the mean squared distance of ``points`` ``[B, D]`` from their center."""
    return (points - points.mean(0)).square().sum(1).mean().sqrt()


def median_nn_distance(points: Tensor) -> Tensor:
    """The median distance of a point of ``points`` ``[B, D]`` from the one nearest to it."""
    # Not by matrix products, which in float32 lose the small differences between similar images.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.fill_diagonal_(torch.inf).amin(1).median()


def roc_auc(real: Tensor, fake: Tensor) -> Tensor:
    """How well a discriminator's scores ``[N]`` and ``[M]`` separate reals from fakes: the area
    under the ROC curve.

    The share of pairs in which the real is scored higher, ties counting half: 0.5 for guessing, 1
    for always right. It needs no threshold, so it means the same for every loss; discriminators
    that score reals lower (energies) count alike.
    """
    ordered = real.float().view(-1, 1) - fake.float().view(1, -1)
    share = ((ordered > 0).float() + 0.5 * (ordered == 0).float()).mean()
    return torch.maximum(share, 1 - share)


def overfitting_ratio(real: Tensor, unseen: Tensor, fake: Tensor) -> Tensor:
    """How far the scores of held-out reals have moved from those of training reals to those of
    fakes.

    r_v = (E D(train) - E D(held out)) / (E D(train) - E D(fake)), Karras et al. 2020
    (StyleGAN2-ADA), eq. 1: 0 if the discriminator scores both alike, 1 if it takes held-out reals
    for fakes, that is if it knows its training data by heart.
    """
    return (real.mean() - unseen.mean()) / (real.mean() - fake.mean())
