"""Random crops in training, the same of a sample and its condition; centers in evaluation."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from gan_zoo.config.build import build
from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch
from gan_zoo.data.batch_order import BatchSampler
from gan_zoo.data.crops import center, crop, random_corners, with_crops
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.data.loader import InfiniteLoader, sample_request

RNG = StepRNG(0, 0)
RAMP = torch.arange(12 * 12, dtype=torch.uint8).view(1, 1, 12, 12).expand(16, 1, 12, 12)


def source(**options) -> Source:
    return Source("x", "train", RAMP.contiguous(), **options)


def batches(data: Source, on_device: bool = True, count: int = 3, **rank: int) -> list[Batch]:
    rng = StepRNG(0, 0, **rank)
    loader = InfiniteLoader(
        data, BatchSampler(data, 8, rng), rng, start=lambda: 0, on_device=on_device
    )
    return list(itertools.islice(loader, count))


def corner(image: Tensor) -> tuple[int, int]:
    """Row and column of the first pixel of a crop of the ramp."""
    value = round((float(image[0, 0, 0]) + 1) * 127.5)
    return divmod(value, 12)


def test_crops_are_windows_of_the_image_and_reach_every_place() -> None:
    seen = set()
    for batch in batches(with_crops(source(), 8), count=40):
        assert batch.real.shape == (8, 1, 8, 8)
        for image in batch.real:
            row, column = corner(image)
            torch.testing.assert_close(
                image, to_unit(RAMP[0, :, row : row + 8, column : column + 8])
            )
            seen.add((row, column))
    assert seen == set(itertools.product(range(5), range(5)))


def test_a_sample_and_its_condition_have_the_same_crop() -> None:
    data = with_crops(source(conditions=RAMP.contiguous()), 8)
    for batch in batches(data):
        torch.testing.assert_close(batch.condition, batch.real)
    unpaired = with_crops(source(conditions=RAMP.contiguous(), unpaired=True), 8)
    crops = [
        (corner(a), corner(b))
        for x in batches(unpaired)
        for a, b in zip(x.real, x.condition, strict=True)
    ]
    assert any(a != b for a, b in crops)


def test_evaluation_sees_the_centers() -> None:
    data = with_crops(source(conditions=RAMP.contiguous(), held_out=source), 8)
    middle = RAMP[:, :, 2:10, 2:10]
    assert torch.equal(data.samples, middle)
    assert torch.equal(data.evaluation_split().samples, middle)
    assert data.samples.data_ptr() - data.uncropped.data_ptr() == 2 * 12 + 2, "a view"
    request = sample_request(with_crops(source(conditions=RAMP.contiguous()), 8), 4, RNG)
    torch.testing.assert_close(request.condition, to_unit(middle[:4]))


def test_crops_of_other_sizes_are_other_images() -> None:
    """Real features and classifiers are cached by the fingerprint."""
    found = {with_crops(source(), size).fingerprint for size in (6, 8, [8, 6])}
    assert len(found | {source().fingerprint}) == 4
    assert with_crops(source(), 8).fingerprint in found


def test_crops_do_not_depend_on_processes_workers_or_the_place_of_the_data() -> None:
    data = with_crops(source(), 8)
    (alone,) = batches(data, count=1)
    halves = [batches(data, count=1, rank=rank, world_size=2)[0].real for rank in range(2)]
    torch.testing.assert_close(torch.cat(halves), alone.real)
    (read,) = batches(data, on_device=False, count=1)
    torch.testing.assert_close(read.real, alone.real)


def test_crops_by_hand() -> None:
    x = torch.arange(2 * 9.0).view(2, 1, 3, 3)
    found = crop(x, (torch.tensor([0, 1]), torch.tensor([1, 0])), [2, 2])
    assert found[0, 0].tolist() == [[1, 2], [4, 5]]
    assert found[1, 0].tolist() == [[12, 13], [15, 16]]
    assert torch.equal(center(x, [1, 1])[:, 0, 0, 0], torch.tensor([4.0, 13.0]))
    rows, columns = random_corners(torch.zeros(1000, 1, 5, 5), [4, 4], RNG, "x")
    assert set(rows.tolist()) == set(columns.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Source("x", "all", torch.zeros(4, 2)), "data.load_size is for images"),
        (source(), "data.load_size must be larger than data.image_size=16"),
        (source(conditions=torch.zeros(16, 1, 9, 9, dtype=torch.uint8)), "the same for"),
    ],
)
def test_what_cannot_be_cropped(data: Source, words: str) -> None:
    with pytest.raises(DataError, match=words):
        with_crops(data, 16 if "larger" in words else 8)


@pytest.mark.parametrize(
    "overrides",
    [
        ("data=digits", "data.image_size=16", "data.load_size=18"),
        pytest.param(
            ("model=cyclegan", "data=openmoji_lines", "data.image_size=16", "data.load_size=18"),
            marks=pytest.mark.slow,  # draws all drawings once more
        ),
        (
            "model=pix2pix",
            "data=openmoji",
            "data/derive=gray",
            "data.image_size=16",
            "data.load_size=20",
        ),
    ],
    ids=lambda overrides: overrides[0],
)
def test_models_train_on_crops(overrides, tiny) -> None:
    small = ["generator.width=4", "discriminator.width=4", "data.batch_size=4"]
    trainer, module, data = build(tiny(*overrides, *small, "trainer.max_steps=1"))
    trainer.fit(module, datamodule=data)
    assert data.source.sample_shape[1:] == [16, 16]
    assert module.global_step == 1


def test_data_without_sizes_say_so(tiny) -> None:
    with pytest.raises(ValueError, match=r"data.load_size is for data with data.image_size"):
        build(tiny("model=gan", "data=ring", "data.load_size=9"))
