"""Scores over sets of features: KID, precision and recall, density and coverage, memorization.

Distances are computed in float64, from features centered on the mean of the reals, on the device
where the features are, in blocks of rows that are dealt to the processes. In float32 the product
form |x|^2 + |y|^2 - 2 x.y loses what sets two features apart where they have a large common part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.distributed import rank, world_size
from gan_zoo.core.errors import DataError
from gan_zoo.metrics.base import exact_device, require_finite

BLOCK = 2**23
"""Numbers in a block of distances: 64 MiB."""
SAME = 1e-13
"""Squared distances below this fraction of |x|^2 + |y|^2 are rounding errors of float32
features.
"""


class FeatureBank(Metric):
    """All features of all processes, in the order of the samples' numbers. Memory grows with their
    number.
    """

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
        """``[N, F]``, float32."""
        # States that were gathered from several processes are tensors already.
        features, numbers = (
            torch.cat(s) if isinstance(s, list) else s for s in (self.features, self.numbers)
        )
        # Processes hold their blocks in turn, so the order is restored.
        return features[numbers.argsort()].float()


class FeatureScore:
    """The contract: scores of generated against real features ``[M, F]`` and ``[N, F]``, by
    name.
    """

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """The scores, without the extractor's name; called by all processes at once, with the same
        features.

        Raises:
            DataError: if features are not finite, or too few.
        """
        raise NotImplementedError

    @property
    def least_samples(self) -> int:
        """How many samples of each side it needs."""
        return 2

    def protocol(self) -> dict[str, Any]:
        """What a reader needs beside the numbers."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}


class KID(FeatureScore):
    """Kernel Inception distance (Binkowski et al. 2018): unbiased MMD^2 with the kernel (x.y / F +
    1)^3.

    The mean over random subsets, drawn as torch-fidelity draws them; it may be slightly negative.

    Args:
        subsets: number of subsets.
        subset_size: samples of each side in a subset, capped at the number there are.
        seed: of the subsets.
    """

    def __init__(self, subsets: int = 100, subset_size: int = 1000, seed: int = 2020) -> None:
        if subsets < 1 or subset_size < 2:
            raise ValueError(
                f"subsets must be >= 1 and subset_size >= 2, got {subsets} and {subset_size}"
            )
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        size = min(self.subset_size, len(real), len(fake))
        random = np.random.RandomState(self.seed)
        fake, real = in_float64(fake, "generated"), in_float64(real, "real")

        # Every process draws all subsets and evaluates its share of them.
        values = torch.zeros(self.subsets, dtype=torch.float64, device=fake.device)
        for number in range(self.subsets):
            of_fake = torch.from_numpy(random.choice(len(fake), size, replace=False)).to(
                fake.device
            )
            of_real = torch.from_numpy(random.choice(len(real), size, replace=False)).to(
                real.device
            )
            if number % world_size() == rank():
                values[number] = squared_mmd(fake[of_fake], real[of_real])
        values = summed(values)
        return {"kid": float(values.mean()), "kid_std": float(values.std(correction=0))}


def squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """The unbiased estimate of MMD^2 with the cubic kernel, from as many samples ``[n, F]`` of
    both.
    """
    size = len(x)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    # Without the diagonals, the products of samples with themselves, the estimate is unbiased.
    within = (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (size * (size - 1))
    return within - 2 * xy.mean()


class NeighborScore(FeatureScore):
    """A metric of the balls around samples, each reaching to its sample's k-th nearest neighbor.

    Args:
        neighbors: k, >= 1.
    """

    def __init__(self, neighbors: int) -> None:
        require_neighbors(neighbors)
        self.neighbors = neighbors

    @property
    def least_samples(self) -> int:
        """One more than there are neighbors."""
        return self.neighbors + 1


class PrecisionRecall(NeighborScore):
    """Shares of fakes inside the reals' manifold and of reals inside the fakes' (Kynkaanniemi et
    al. 2019).

    A manifold is the union of balls around its samples, each reaching to its k-th nearest neighbor.

    Args:
        neighbors: k (3 in the paper).
    """

    def __init__(self, neighbors: int = 3) -> None:
        super().__init__(neighbors)

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        real, fake = centered(real, fake)
        of_real, of_fake = radii(real, self.neighbors), radii(fake, self.neighbors)

        # Distances are computed once for both directions, a block of reals at a time.
        fakes_inside = real.new_zeros(len(fake))
        reals_inside = real.new_zeros(len(real))
        for rows in dealt(len(real), len(fake)):
            distances = squared_distances(real[rows], fake)
            fakes_inside += (distances <= of_real[rows, None]).any(0)
            reals_inside[rows] = (distances <= of_fake).any(1).double()

        # A fake is inside if a real of any process holds it in its ball.
        precision = (summed(fakes_inside) > 0).double().mean()
        recall = summed(reals_inside).mean()
        return {"precision": float(precision), "recall": float(recall)}


class DensityCoverage(NeighborScore):
    """How many reals' balls hold a fake, and how many of the balls hold any (Naeem et al. 2020).

    Density, E_fake of the number of balls it is in / k, may exceed 1; coverage is within [0, 1].

    Args:
        neighbors: k (5 in the paper).
    """

    def __init__(self, neighbors: int = 5) -> None:
        super().__init__(neighbors)

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        real, fake = centered(real, fake)
        of_real = radii(real, self.neighbors)

        # How many balls each fake is in, and whether each ball holds any fake.
        balls = real.new_zeros(len(fake))
        covered = real.new_zeros(len(real))
        for rows in dealt(len(real), len(fake)):
            inside = squared_distances(real[rows], fake) < of_real[rows, None]
            balls += inside.sum(0)
            covered[rows] = inside.any(1).double()
        density = summed(balls).mean() / self.neighbors
        return {"density": float(density), "coverage": float(summed(covered).mean())}


def in_float64(features: Tensor, kind: str) -> Tensor:
    """Features in float64 where they are, or on the CPU if their device has no float64; `DataError`
    unless finite.
    """
    require_finite(features, f"features of {kind} images")
    return features.to(exact_device(features.device)).double()


def centered(real: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Features in float64 on one device, minus the mean of the reals; distances stay as they
    are.
    """
    real = in_float64(real, "real")
    mean = real.mean(0)
    return real - mean, *(in_float64(other, "generated").to(real.device) - mean for other in others)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """The squared Euclidean distances ``[N, M]`` of centered float64 features; exactly 0 for equal
    ones.
    """
    lengths = x.square().sum(1)[:, None] + y.square().sum(1)
    squared = torch.addmm(lengths, x, y.T, alpha=-2)
    # Between equal features there is only what rounding left.
    return squared.masked_fill_(squared <= SAME * lengths, 0.0)


def dealt(count: int, width: int) -> Iterator[slice]:
    """This process's share of ``count`` rows of ``width`` distances each, in blocks."""
    size = max(1, BLOCK // max(1, width))
    for start in range(rank() * size, count, world_size() * size):
        yield slice(start, min(start + size, count))


def summed(values: Tensor) -> Tensor:
    """The sum of ``values`` over processes, which each filled in their own rows; in place."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def radii(features: Tensor, neighbors: int) -> Tensor:
    """The squared distance of every sample to its k-th nearest neighbor, itself not counted,
    ``[N]``.

    Raises:
        DataError: if there are too few samples.
    """
    if len(features) <= neighbors:
        raise DataError(
            f"{neighbors} neighbors need more than {neighbors} samples, got {len(features)}"
        )

    # One neighbor more, as every sample is its own nearest one.
    radii = features.new_zeros(len(features))
    for rows in dealt(len(features), len(features)):
        distances = squared_distances(features[rows], features)
        radii[rows] = distances.topk(neighbors + 1, largest=False).values[:, -1]
    return summed(radii)


def nearest(features: Tensor, among: Tensor) -> Tensor:
    """The squared distance of every sample to the nearest of others, ``[N]``."""
    smallest = features.new_zeros(len(features))
    for rows in dealt(len(features), len(among)):
        smallest[rows] = squared_distances(features[rows], among).min(1).values
    return summed(smallest)


def require_neighbors(neighbors: int) -> None:
    """Raise `ValueError` unless there is at least one."""
    if neighbors < 1:
        raise ValueError(f"neighbors must be >= 1, got {neighbors}")


def memorized(fake: Tensor, train: Tensor, held_out: Tensor) -> float:
    """How often the nearest neighbor of a fake is a training image and not a held-out one, in
    [0, 1].

    By chance that happens with the share c = N / (N + M) of N training images among all N + M, if
    the fakes know the training images no better than others of their kind. The share s that is
    found becomes s / (2 c) up to chance, and 1 - (1 - s) / (2 (1 - c)) above: 0.5 is chance, 1 are
    copies.
    """
    # Ties of equal images are broken by chance.
    chance = len(train) / (len(train) + len(held_out))
    train, held_out, fake = centered(train, held_out, fake)
    to_train, to_held_out = (nearest(fake, some) for some in (train, held_out))
    ties = float((to_train == to_held_out).double().mean())
    share = float((to_train < to_held_out).double().mean()) + chance * ties
    return share / (2 * chance) if share <= chance else 1 - (1 - share) / (2 * (1 - chance))
