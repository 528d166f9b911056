"""Large images in overlapping tiles."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from gan_zoo.inference.tiles import in_tiles, ramp, tile_starts


@pytest.mark.parametrize("size", [(20, 33), (8, 40), (41, 16), (9, 9)])
@pytest.mark.parametrize("scale", [1, 2])
def test_tiles_of_an_identity_are_the_image(size: tuple[int, int], scale: int) -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    seen = []

    def enlarge(tile: torch.Tensor) -> torch.Tensor:
        seen.append(tile.shape[1:])
        return tile.repeat_interleave(scale, 1).repeat_interleave(scale, 2)

    found = in_tiles(enlarge, image, tile=16, overlap=4)
    assert torch.equal(found, image.repeat_interleave(scale, 1).repeat_interleave(scale, 2))
    assert all(max(shape) <= 16 for shape in seen)


def test_starts_cover_everything_and_overlap_enough() -> None:
    assert tile_starts(10, 16, 4) == [0]
    assert tile_starts(16, 16, 4) == [0]
    assert tile_starts(17, 16, 4) == [0, 1]
    assert tile_starts(40, 16, 4) == [0, 12, 24]
    for length in range(17, 200):
        starts = tile_starts(length, 16, 4)
        assert (starts[0], starts[-1]) == (0, length - 16)
        assert all(b - a <= 12 for a, b in pairwise(starts))


def test_neighbors_fade_into_each_other() -> None:
    """Two tiles of 16 that share 4 columns: 0 becomes 100 in four even steps."""
    assert ramp(6, 2).tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3])
    values = iter([0, 100])
    image = torch.zeros(1, 4, 28, dtype=torch.uint8)
    found = in_tiles(lambda tile: torch.full_like(tile, next(values)), image, tile=16, overlap=4)
    assert found[0, 0, 10:18].tolist() == [0, 0, 20, 40, 60, 80, 100, 100]
