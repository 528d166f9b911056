"""The Frechet distance between features, by exact sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.files import atomic_path
from gan_zoo.metrics.base import require_finite


class Moments(NamedTuple):
    """Number, mean ``[F]`` and covariance ``[F, F]`` (unbiased) of features, in float64."""

    num: int
    mean: Tensor
    covariance: Tensor

    def save(self, path: Path) -> None:
        """Write an ``.npz`` without pickle, whole or not at all."""
        with atomic_path(path) as temporary:
            np.savez(
                temporary, num=self.num, mean=self.mean.numpy(), covariance=self.covariance.numpy()
            )

    @classmethod
    def load(cls, path: Path) -> Moments:
        """Read what `save` wrote.

        Raises:
            ValueError, OSError: if the file is damaged.
        """
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            mean, covariance = torch.from_numpy(data["mean"]), torch.from_numpy(data["covariance"])
            # A file may be readable and still hold no moments.
            if covariance.shape != 2 * mean.shape or not (
                mean.isfinite().all() and covariance.isfinite().all()
            ):
                raise ValueError(f"{path} holds no moments")
            return cls(int(data["num"]), mean, covariance)


class FeatureMoments(Metric):
    """Accumulates `Moments` of features ``[B, F]`` by float64 sums, which processes add up exactly
    once.
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    outer: Tensor

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        zeros = torch.zeros(num_features, dtype=torch.float64)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state(
            "outer",
            torch.zeros(num_features, num_features, dtype=torch.float64),
            dist_reduce_fx="sum",
        )
        self.set_dtype(torch.float64)

    def update(self, features: Tensor) -> None:
        """Add a batch of features."""
        features = features.to(self.count.device).double()
        self.count += len(features)
        self.total += features.sum(0)
        self.outer.addmm_(features.T, features)

    def compute(self) -> Moments:
        """The moments of all features so far; at least two samples."""
        return moments_from(self.count, self.total, self.outer)


def moments_from(number: Tensor, total: Tensor, outer: Tensor) -> Moments:
    """The moments of ``number`` features from their sum ``[F]`` and that of their outer products
    ``[F, F]``.
    """
    count = int(number)
    if count < 2:
        raise ValueError(f"a covariance needs at least 2 samples, got {count}")
    require_finite(total, "features of images")  # one bad sample spoils the sum
    mean = total / count
    covariance = (outer - count * torch.outer(mean, mean)) / (count - 1)
    return Moments(count, mean.cpu(), covariance.cpu())


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982; Heusel et al.
    2017, FID).

    ||m_a - m_b||^2 + tr(A + B - 2 (R^T B R)^(1/2)) with A = R R^T, by eigenvalues of symmetric
    matrices in float64; those that rounding made negative count as zero.
    """
    root = square_root(a.covariance)
    # The trace of a root is the sum of the roots of the eigenvalues.
    cross = symmetric_eigenvalues(root.T @ b.covariance @ root).clamp(min=0).sqrt().sum()
    shift = (a.mean - b.mean).square().sum()
    # Rounding may leave a distance of equal moments below zero.
    return max(0.0, float(shift + a.covariance.trace() + b.covariance.trace() - 2 * cross))


def square_root(matrix: Tensor) -> Tensor:
    """R with R R^T = ``matrix``: Cholesky's, or that of the eigenvalues where the matrix is
    singular.

    Covariances of fewer samples than features are singular.
    """
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(matrix)
    if not failed:
        return root

    # A singular matrix still has a root by its eigenvalues.
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except RuntimeError:  # of which LinAlgError is one: one eigenvalue, zero, is there many times
        vectors, values, _ = torch.linalg.svd((matrix + matrix.T) / 2)
        # Singular values have no sign, so eigenvalues are read from the diagonal.
        values = (vectors.T @ matrix @ vectors).diagonal()

    # Eigenvalues that rounding made negative count as zero.
    root = vectors * values.clamp(min=0).sqrt()
    return root


def symmetric_eigenvalues(matrix: Tensor) -> Tensor:
    """Eigenvalues of a symmetric matrix, also where the faster routine does not converge."""
    values: Tensor
    try:
        values = torch.linalg.eigvalsh(matrix)
    except RuntimeError:
        left, _, _ = torch.linalg.svd((matrix + matrix.T) / 2)
        values = (left.T @ matrix @ left).diagonal()
    return values
