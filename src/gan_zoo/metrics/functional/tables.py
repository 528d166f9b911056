"""How alike two tables are, column by column and pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""The values of a column ``[N]``: numbers, NaN where one is missing, or numbers of categories."""

BINS = 10
"""Intervals of a column of numbers beside a column of categories."""


def column_similarity(real: Values, fake: Values, is_category: bool) -> float:
    """1 minus the distance of two distributions of a column, in [0, 1].

    The Kolmogorov-Smirnov statistic of numbers, without missing values, and the total variation
    distance of categories.
    """
    if is_category:
        return 1 - total_variation(real[:, None], fake[:, None])
    real, fake = real[~np.isnan(real)], fake[~np.isnan(fake)]
    if not len(fake):
        return 0.0

    # The largest difference of the distribution functions, at the values of both.
    points = np.concatenate([real, fake])
    below_real = np.searchsorted(np.sort(real), points, side="right") / len(real)
    below_fake = np.searchsorted(np.sort(fake), points, side="right") / len(fake)
    return 1 - float(np.abs(below_real - below_fake).max())


def total_variation(real: Values, fake: Values) -> float:
    """Half the sum of absolute differences of the frequencies of rows ``[N, K]``, in [0, 1]."""
    # Rows of both tables share one set of codes.
    both, codes = np.unique(np.concatenate([real, fake]), axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    shares = [
        np.bincount(part, minlength=len(both)) / len(part)
        for part in (codes[: len(real)], codes[len(real) :])
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def pair_similarity(real: Values, fake: Values, are_categories: Sequence[bool]) -> float | None:
    """How alike the dependence of two columns ``[N, 2]`` is in two tables, in [0, 1].

    1 - |rho_real - rho_fake| / 2 with Pearson's correlations for two columns of numbers, else 1
    minus the total variation distance of joint frequencies, numbers in ten intervals of the real
    range. None for numbers that have no correlation, as one of them is constant in the real table.
    """
    # Two columns of numbers: the difference of their correlations, which is at most 2.
    if not any(are_categories):
        correlations = [_correlation(table) for table in (real, fake)]
        if correlations[0] is None:
            return None
        return 1 - abs(correlations[0] - (correlations[1] or 0.0)) / 2

    # With a category: numbers become bins of the real values, pairs one variable.
    binned = [
        np.stack(
            [
                table[:, column]
                if are_categories[column]
                else _bins(real[:, column], table[:, column])
                for column in range(2)
            ],
            axis=1,
        )
        for table in (real, fake)
    ]
    return 1 - total_variation(binned[0], binned[1])


def _correlation(table: Values) -> float | None:
    known = table[~np.isnan(table).any(1)]
    if len(known) < 2 or (known.std(0) == 0).any():
        return None
    return float(np.asarray(np.corrcoef(known.T)).item(0, 1))


def _bins(real: Values, values: Values) -> Values:
    """The interval of each value; missing values have one of their own."""
    edges = np.histogram_bin_edges(real[~np.isnan(real)], BINS)
    intervals: Values = np.searchsorted(edges[1:-1], values, side="right").astype(np.float64)
    intervals[np.isnan(values)] = -1
    return intervals


def column_shapes(real: Values, fake: Values, are_categories: Sequence[bool]) -> float:
    """The mean of `column_similarity` over the columns of tables ``[N, K]``."""
    return float(
        np.mean(
            [
                column_similarity(real[:, number], fake[:, number], is_category)
                for number, is_category in enumerate(are_categories)
            ]
        )
    )


def pair_trends(real: Values, fake: Values, are_categories: Sequence[bool]) -> float | None:
    """The mean of `pair_similarity` over the pairs of columns of tables ``[N, K]``; None without
    pairs.
    """
    values = [
        pair_similarity(real[:, [a, b]], fake[:, [a, b]], [are_categories[a], are_categories[b]])
        for a, b in combinations(range(len(are_categories)), 2)
    ]
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
