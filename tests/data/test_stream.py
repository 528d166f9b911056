"""The order of samples: every sample once an epoch, from any step, on any number of ranks."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from gan_zoo.core.rng import StepRNG
from gan_zoo.data.batch_order import BatchSampler, EpochSampler
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cached_images
from gan_zoo.data.loader import InfiniteLoader


def source(count: int = 10, size: int = 4) -> Source:
    images = (
        torch.arange(count * size * size).remainder(256).to(torch.uint8).view(count, 1, size, size)
    )
    return Source("test", "all", images, labels=torch.arange(count))


def stream(first: int = 0, **options) -> InfiniteLoader:
    data = source()
    return InfiniteLoader(
        data, BatchSampler(data, 4, StepRNG(3, 0)), StepRNG(3, 0), lambda: first, **options
    )


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (7, 7), (5, 4), (100, 32)])
def test_every_sample_once_an_epoch(count: int, batch: int) -> None:
    order = EpochSampler(count, batch, seed=0)
    sequence = torch.cat([order.indices(step) for step in range(3 * count)])
    epochs = sequence[: 3 * count].view(3, count)
    assert all(sorted(epoch.tolist()) == list(range(count)) for epoch in epochs)
    assert count < 8 or not torch.equal(epochs[0], epochs[1])


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_order_of_one_process(world_size: int) -> None:
    one = EpochSampler(10, 8, seed=1)
    ranks = [EpochSampler(10, 8, 1, rank, world_size) for rank in range(world_size)]
    for step in range(12):
        assert torch.equal(torch.cat([rank.indices(step) for rank in ranks]), one.indices(step))


def test_any_step_can_be_continued_from() -> None:
    complete = list(islice(stream(), 9))
    for first in (1, 4, 8):
        for batch, again in zip(complete[first:], stream(first), strict=False):
            assert torch.equal(batch.real, again.real)
            assert batch.rng == again.rng


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_bring_the_same_batches(num_workers: int) -> None:
    loaded = stream(2, on_device=False, num_workers=num_workers, flip=True)
    for batch, expected in zip(islice(loaded, 5), stream(2, flip=True), strict=False):
        assert torch.equal(batch.real, expected.real)
        assert torch.equal(batch.label, expected.label)


def test_images_arrive_in_minus_one_to_one_and_flipped_half_the_time() -> None:
    batches = list(islice(stream(flip=True), 200))
    plain = list(islice(stream(), 200))
    assert all(
        batch.real.dtype == torch.float32 and batch.real.abs().max() <= 1 for batch in batches
    )
    flipped = [
        not torch.equal(a, b)
        for x, y in zip(batches, plain, strict=True)
        for a, b in zip(x.real, y.real, strict=True)
    ]
    assert 0.4 < sum(flipped) / len(flipped) < 0.6


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("on_device", [True, False])
def test_memory_does_not_grow_with_the_set(tmp_path: Path, on_device: bool) -> None:
    """A mapped set of 600 MB: its pages can be dropped at any time, and nothing else is held."""
    images = cached_images(tmp_path / "large.npy", (50_000, 3, 64, 64), lambda array: None)
    data = Source("large", "all", images)
    batches = iter(
        InfiniteLoader(
            data,
            BatchSampler(data, 64, StepRNG(0, 0)),
            StepRNG(0, 0),
            lambda: 0,
            on_device=on_device,
        )
    )
    next(batches)
    before = memory_of_its_own()
    assert sum(len(batch.real) for batch in islice(batches, 300)) == 19_200, "236 MB of images"
    assert memory_of_its_own() - before < 50


def memory_of_its_own() -> float:
    """MB that are this process's alone."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024
