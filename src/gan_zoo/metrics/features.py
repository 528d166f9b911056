"""Scores over sets of features: KID, precision and recall, density and coverage, memorisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.data.source import DataError


class FeatureBank(Metric):
    """All features of all processes, in the order of the samples' numbers. Memory grows with their number."""

    full_state_update = False
    features: Any
    numbers: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("features", [], dist_reduce_fx="cat")
        self.add_state("numbers", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, start: int) -> None:
        """Add the features ``[B, F]`` of samples ``start`` ... ``start + B - 1``."""
        self.features.append(features)
        self.numbers.append(torch.arange(start, start + len(features), device=features.device))

    def compute(self) -> Tensor:
        """``[N, F]``, float32, on the CPU."""
        features, numbers = (torch.cat(s) if isinstance(s, list) else s for s in (self.features, self.numbers))
        return features[numbers.argsort()].float().cpu()


class FeatureScore:
    """The contract: scores of generated against real features ``[N, F]`` and ``[M, F]``, by name."""

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """The scores, without the extractor's name."""
        raise NotImplementedError

    @property
    def least_samples(self) -> int:
        """How many samples of each side it needs."""
        return 2

    def protocol(self) -> dict[str, Any]:
        """What a reader needs beside the numbers."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}


class KID(FeatureScore):
    """Kernel Inception distance (Binkowski et al. 2018): unbiased MMD^2 with the kernel (x.y / F + 1)^3.

    The mean over random subsets, drawn as torch-fidelity draws them; it may be slightly negative.

    Args:
        subsets: number of subsets.
        subset_size: samples of each side in a subset, capped at the number there are.
        seed: of the subsets.
    """

    def __init__(self, subsets: int = 100, subset_size: int = 1000, seed: int = 2020) -> None:
        if subsets < 1 or subset_size < 2:
            raise ValueError(f"subsets must be >= 1 and subset_size >= 2, got {subsets} and {subset_size}")
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        size = min(self.subset_size, len(real), len(fake))
        random = np.random.RandomState(self.seed)
        fake, real = fake.double(), real.double()
        values = []
        for _ in range(self.subsets):
            x = fake[torch.from_numpy(random.choice(len(fake), size, replace=False))]
            y = real[torch.from_numpy(random.choice(len(real), size, replace=False))]
            values.append(squared_mmd(x, y))
        return {"kid": float(np.mean(values)), "kid_std": float(np.std(values))}


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """The unbiased estimate of MMD^2 with the cubic kernel, from as many samples ``[n, F]`` of both."""
    size = len(x)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within = (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (size * (size - 1))
    return float(within - 2 * xy.mean())


class PrecisionRecall(FeatureScore):
    """Shares of fakes inside the reals' manifold and of reals inside the fakes' (Kynkaanniemi et al. 2019).

    A manifold is the union of balls around its samples, each reaching to its k-th nearest neighbour.

    Args:
        neighbours: k (3 in the paper).
    """

    def __init__(self, neighbours: int = 3) -> None:
        require_neighbours(neighbours)
        self.neighbours = neighbours

    @property
    def least_samples(self) -> int:
        """One more than there are neighbours."""
        return self.neighbours + 1

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        between = torch.cdist(real, fake)
        precision = (between <= radii(real, self.neighbours)[:, None]).any(0).float().mean()
        recall = (between <= radii(fake, self.neighbours)[None]).any(1).float().mean()
        return {"precision": float(precision), "recall": float(recall)}


class DensityCoverage(FeatureScore):
    """How many reals' balls hold a fake, and how many of the balls hold any (Naeem et al. 2020).

    Density, E_fake of the number of balls it is in / k, may exceed 1; coverage is within [0, 1].

    Args:
        neighbours: k (5 in the paper).
    """

    def __init__(self, neighbours: int = 5) -> None:
        require_neighbours(neighbours)
        self.neighbours = neighbours

    @property
    def least_samples(self) -> int:
        """One more than there are neighbours."""
        return self.neighbours + 1

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        inside = torch.cdist(real, fake) < radii(real, self.neighbours)[:, None]
        density = inside.float().sum(0).mean() / self.neighbours
        return {"density": float(density), "coverage": float(inside.any(1).float().mean())}


def radii(features: Tensor, neighbours: int) -> Tensor:
    """The distance of every sample to its k-th nearest neighbour, itself not counted, ``[N]``."""
    if len(features) <= neighbours:
        raise DataError(f"{neighbours} neighbours need more than {neighbours} samples, got {len(features)}")
    distances: Tensor = torch.cdist(features, features).kthvalue(neighbours + 1).values
    return distances


def require_neighbours(neighbours: int) -> None:
    """Raise `ValueError` unless there is at least one."""
    if neighbours < 1:
        raise ValueError(f"neighbours must be >= 1, got {neighbours}")


def memorised(fake: Tensor, train: Tensor, held_out: Tensor) -> float:
    """The share of fakes whose nearest neighbour is a training picture and not a held-out one, from equally many.

    0.5 where the generator knows the training pictures no better than others of their kind; 1 for copies.
    """
    count = min(len(train), len(held_out))
    to_train, to_held_out = (torch.cdist(fake, some[:count]).min(1).values for some in (train, held_out))
    ties = (to_train == to_held_out).double().mean() / 2
    return float((to_train < to_held_out).double().mean() + ties)
