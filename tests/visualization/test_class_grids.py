"""Grids with a column for each class."""

from __future__ import annotations

import torch

from gan_zoo.visualization.image_grid import image_of


def test_two_classes_fill_eight_columns_in_turn() -> None:
    shades = torch.tensor([-1.0, 1.0]).repeat(16)
    samples = shades[:, None, None, None].expand(32, 1, 6, 6)
    grid = image_of({"sample": samples}, columns=2)
    assert grid.shape == (3, 4 * 8 + 2, 8 * 8 + 2)

    # The first row: black and white in turn.
    assert [int(grid[0, 4, 4 + 8 * place]) for place in range(8)] == 4 * [0, 255]


def test_ten_classes_keep_a_column_each() -> None:
    grid = image_of({"sample": torch.zeros(20, 1, 6, 6)}, columns=10)
    assert grid.shape == (3, 2 * 8 + 2, 10 * 8 + 2)
