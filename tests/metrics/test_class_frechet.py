"""The distance within each class: in closed form, by subsets, over processes, and refused where it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.data.streamed_images import StreamedImages
from gan_zoo.metrics.base import Generated, Samples, evaluate_all
from gan_zoo.metrics.extractors.base import Extractor
from gan_zoo.metrics.functional.frechet import FeatureMoments, frechet_distance
from gan_zoo.metrics.intra_class_frechet import ClassFrechet, ClassMoments
from tests.helpers import model_of


class Pixels(Extractor):
    name = "pixels"
    num_features, num_classes = 4, 0

    def __init__(self) -> None:
        super().__init__()
        self.protocol = {"extractor": self.name}

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1).float() / 255, torch.zeros(len(images), 0)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))


def random_images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 2, 2), dtype=torch.uint8, generator=generator)
    return images, torch.arange(count) % 3


def drawer(
    images: Tensor,
    requested_label: Tensor | None,
    num_requested_labels: int | None = 3,
    size: int = 8,
):
    def draw(block: int) -> Generated:
        rows = slice(size * block, size * (block + 1))
        asked = SampleRequest(len(images[rows]), StepRNG(0, block))
        return Generated(
            {"sample": to_unit(images[rows])},
            asked,
            None if requested_label is None else requested_label[rows],
            num_requested_labels,
        )

    return draw


def scored(
    evaluator: ClassFrechet,
    source: Source,
    draw,
    count: int,
    conditioning="class",
    labels: int | None = 3,
):
    samples = Samples(draw, count, 8)
    return {
        score.name: score
        for score in evaluate_all(
            {"c": evaluator}, samples, source, CPU, model_of(conditioning, labels)
        )
    }


def moments(images: Tensor):
    metric = FeatureMoments(4, distributed_available_fn=lambda: False)
    metric.update(Pixels()(images)[0])
    return metric.compute()


def test_each_class_is_the_distance_of_its_subset_and_the_mean_is_theirs() -> None:
    (real, labels), (fake, requested_label) = random_images(60, 0), random_images(48, 1)
    source = Source("x", "train", real, labels, classes=["a", "b c", "d"])
    found = scored(ClassFrechet(Pixels(), 48), source, drawer(fake // 2, requested_label), 48)
    expected = [
        frechet_distance(moments(real[labels == k]), moments(fake[requested_label == k] // 2))
        for k in range(3)
    ]
    assert list(found) == [
        "intra_fd_pixels",
        "intra_fd_pixels_a",
        "intra_fd_pixels_b_c",
        "intra_fd_pixels_d",
    ]
    assert [score.value for score in found.values()][1:] == pytest.approx(expected, rel=1e-9)
    assert found["intra_fd_pixels"].value == pytest.approx(sum(expected) / 3, rel=1e-9)
    expected = {
        "num_real": 60,
        "num_generated": 48,
        "num_classes": 3,
        "fewest_in_a_class": 16,
        "split": "train",
    }
    assert expected.items() <= found["intra_fd_pixels"].protocol.items()
    of_a = found["intra_fd_pixels_a"].protocol
    assert (of_a["num_generated"], of_a["of_class"]) == (48, 16)
    assert "warning" not in found["intra_fd_pixels"].protocol


def test_other_labels_of_the_same_images_are_other_moments() -> None:
    (real, labels), (fake, requested_label) = random_images(60, 0), random_images(48, 1)
    options = {"classes": ["a", "b", "c"], "fingerprint": "of the images alone"}
    for given in (labels, 2 - labels):
        source = Source("x", "train", real, given, **options)
        found = scored(ClassFrechet(Pixels(), 48), source, drawer(fake // 2, requested_label), 48)
        expected = frechet_distance(
            moments(real[given == 0]), moments(fake[requested_label == 0] // 2)
        )
        assert found["intra_fd_pixels_a"].value == pytest.approx(expected, rel=1e-9)


def test_streamed_images_are_read_in_blocks_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (real, labels), (fake, requested_label) = random_images(60, 0), random_images(48, 1)
    streamed = StreamedImages(lambda row: real[row].numpy(), range(60), 1, range(2), range(2))
    read: list[int] = []
    honest = StreamedImages.read

    def counted(self: StreamedImages, rows: Sequence[int]) -> Tensor:
        read.append(len(rows))
        return honest(self, rows)

    monkeypatch.setattr(StreamedImages, "read", counted)
    source = Source("x", "all", streamed, labels, fingerprint="streamed")
    found = []
    for _ in range(2):
        evaluator = ClassFrechet(Pixels(), 48, block_size=8)
        scores = scored(evaluator, source, drawer(fake, requested_label), 48)
        found.append(scores["intra_fd_pixels"].value)
    assert read == [8, 8, 4] * 3, "20 of each class, and from the cache the second time"
    whole = Source("x", "all", real, labels)
    expected = scored(ClassFrechet(Pixels(), 48), whole, drawer(fake, requested_label), 48)
    assert found == [pytest.approx(expected["intra_fd_pixels"].value)] * 2


def test_a_shift_of_every_class_in_closed_form_and_classes_in_each_others_place() -> None:
    """m + s against m is s^2 a feature; a model that confuses classes is found out, as the plain distance cannot."""
    images = (
        torch.tensor([0, 20, 200, 220], dtype=torch.uint8)
        .view(4, 1, 1, 1)
        .expand(-1, 1, 2, 2)
        .repeat(4, 1, 1, 1)
    )
    labels = torch.tensor([0, 0, 1, 1]).repeat(4)
    source = Source("x", "all", images, labels)
    shifted = scored(
        ClassFrechet(Pixels(), 16), source, drawer(images + 10, labels, 2), 16, labels=2
    )
    assert [score.value for score in shifted.values()] == pytest.approx(
        [4 * (10 / 255) ** 2] * 3, rel=1e-6
    )
    confused = scored(
        ClassFrechet(Pixels(), 16), source, drawer(images, 1 - labels, 2), 16, labels=2
    )
    assert confused["intra_fd_pixels"].value == pytest.approx(4 * (200 / 255) ** 2, rel=1e-6)


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_sums_of_several_processes_are_those_of_one(ranks: int) -> None:
    images, requested_label = random_images(20, 2)
    source = Source("x", "all", images, requested_label)
    states = []
    for rank in range(ranks):
        evaluator = ClassFrechet(Pixels(), 16)
        evaluator.prepare(source, CPU)
        for block in Samples(
            drawer(images, requested_label), 16, 8, rank, ranks
        ):  # two blocks: the third process has none
            evaluator.update(block)
        assert evaluator.moments.update_called
        states.append(evaluator.moments)
    whole = ClassMoments(3, 4)
    whole.update(Pixels()(images[:16])[0], requested_label[:16])
    for name in ("count", "total", "outer"):
        torch.testing.assert_close(
            sum(getattr(s, name) for s in states), getattr(whole, name), rtol=1e-12, atol=1e-12
        )


def test_few_samples_are_warned_of_or_refused() -> None:
    (real, labels), (fake, requested_label) = random_images(60, 0), random_images(48, 1)
    source = Source("x", "all", real, labels)
    few = scored(ClassFrechet(Pixels(), 12), source, drawer(fake, requested_label), 12)
    assert "a class has 4 samples, fewer than 8" in few["intra_fd_pixels"].protocol["warning"]
    with pytest.raises(
        DataError, match=r"num_samples must be at least 2 for each of the 3 classes, got 5"
    ):
        scored(ClassFrechet(Pixels(), 5), source, drawer(fake, requested_label), 5)
    none_of_class_2 = torch.where(requested_label == 2, 0, requested_label)
    with pytest.raises(
        DataError,
        match=r"at least 2 generated samples .* raise .*num_samples; too few are in class 2",
    ):
        scored(ClassFrechet(Pixels(), 6), source, drawer(fake, none_of_class_2), 6)
    lonely = Source("x", "all", real[:4], labels[:4])
    with pytest.raises(
        DataError,
        match=r"at least 2 real images of each class, data=x has not; too few .* class 1, 2",
    ):
        scored(ClassFrechet(Pixels(), 12), lonely, drawer(fake, requested_label), 12)


def test_models_and_data_without_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = random_images(24, 0)
    source, evaluator = Source("x", "all", images, labels), ClassFrechet(Pixels(), 12)
    with pytest.raises(DataError, match="needs a class-conditional model, this one is not"):
        scored(evaluator, source, drawer(images, None), 12, conditioning="none")
    with pytest.raises(DataError, match="a model of the data's 3 classes, this one has 7"):
        scored(evaluator, source, drawer(images, labels, 7), 12, labels=7)
    with pytest.raises(DataError, match="needs labelled images, data=x has none"):
        scored(evaluator, Source("x", "all", images), drawer(images, labels), 12)
    with pytest.raises(ValueError, match="num_samples must be >= 2, got 1"):
        ClassFrechet(Pixels(), 1)
    monkeypatch.setattr("gan_zoo.metrics.intra_class_frechet.MOST_BYTES", 100)
    with pytest.raises(DataError, match="choose an extractor with fewer features"):
        scored(evaluator, source, drawer(images, labels), 12)
