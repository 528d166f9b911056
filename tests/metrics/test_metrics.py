"""Scores against closed forms, against torchmetrics, and over any number of processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.datasets.gaussian_mixtures import grid, ring
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import Generated, Samples, evaluate_all, warned
from gan_zoo.metrics.extractors.dataset_classifier import OwnClassifier
from gan_zoo.metrics.extractors.efficientnet_lite0 import EfficientNetLite0
from gan_zoo.metrics.functional.feature_metrics import radii
from gan_zoo.metrics.functional.frechet import FeatureMoments, Moments, frechet_distance
from gan_zoo.metrics.functional.inception_score import InceptionScore
from gan_zoo.metrics.image_quality import ImageScores
from gan_zoo.metrics.mode_coverage import ModeCoverage
from gan_zoo.metrics.stacked_mnist_modes import StackedModes

CPU = torch.device("cpu")


def draw(samples: torch.Tensor, size: int = 64):
    """Draws block k of ``samples``."""

    def block(k: int) -> Generated:
        piece = samples[size * k : size * (k + 1)]
        return Generated({"sample": piece}, SampleRequest(len(piece), StepRNG(0, k)))

    return block


def moments_of(features: torch.Tensor) -> Moments:
    metric = FeatureMoments(features.shape[1])
    for piece in features.split(17):
        metric.update(piece)
    return metric.compute()


def random_spd(size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return a @ a.T / size


def test_moments_are_those_of_the_features() -> None:
    features = torch.randn(100, 5) * 3 + 7
    moments = moments_of(features)
    torch.testing.assert_close(moments.mean, features.double().mean(0))
    torch.testing.assert_close(moments.covariance, features.double().T.cov(), rtol=1e-6, atol=1e-6)


def test_frechet_distance_in_closed_form() -> None:
    zero, a, b = torch.zeros(6, dtype=torch.float64), random_spd(6, 0), random_spd(6, 1)
    assert frechet_distance(Moments(9, zero, a), Moments(9, zero, a)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(Moments(9, zero, a), Moments(9, zero + 2, a)) == pytest.approx(
        24, rel=1e-9
    )
    d, e = torch.rand(6, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    expected = float((d.sqrt() - e.sqrt()).square().sum())
    assert frechet_distance(
        Moments(9, zero, d.diag()), Moments(9, zero, e.diag())
    ) == pytest.approx(expected, rel=1e-9)
    forth, back = Moments(9, zero, a), Moments(9, zero + 1, b)
    assert frechet_distance(forth, back) == pytest.approx(frechet_distance(back, forth), rel=1e-9)


def test_frechet_distance_of_singular_covariances() -> None:
    few, many = moments_of(torch.randn(5, 40)), moments_of(torch.randn(500, 40))
    assert math.isfinite(frechet_distance(few, many))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-4)


def test_frechet_distance_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1).float() / 255

    images = torch.randint(0, 256, (2, 300, 3, 2, 2), dtype=torch.uint8)
    reference = FrechetInceptionDistance(feature=Flat(), input_img_size=(3, 2, 2)).set_dtype(
        torch.float64
    )
    reference.update(images[0], real=True)
    reference.update(images[1] // 2, real=False)
    ours = frechet_distance(moments_of(Flat()(images[0])), moments_of(Flat()(images[1] // 2)))
    assert ours == pytest.approx(float(reference.compute()), rel=1e-4)


def test_one_sample_has_no_covariance() -> None:
    metric = FeatureMoments(3)
    metric.update(torch.randn(1, 3))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        metric.compute()


def test_moments_survive_the_disk(tmp_path: Path) -> None:
    moments = moments_of(torch.randn(9, 4))
    moments.save(tmp_path / "m.npz")
    loaded = Moments.load(tmp_path / "m.npz")
    assert loaded.num == 9
    assert torch.equal(loaded.mean, moments.mean)
    assert torch.equal(loaded.covariance, moments.covariance)


def test_inception_score_in_closed_form() -> None:
    """Sure of one class each, all five equally often in every split: 5. Unsure: 1."""
    sure = InceptionScore(5, 50)
    logits = torch.empty(50, 5)
    for split in range(10):
        logits[sure.split_of == split] = 1000 * torch.eye(5)
    sure.update(logits)
    assert sure.compute() == (pytest.approx(5), pytest.approx(0))
    unsure = InceptionScore(5, 7)
    unsure.update(torch.zeros(7, 5))
    assert float(unsure.compute().mean) == pytest.approx(1)


def test_inception_score_is_that_of_ten_splits() -> None:
    """Of 1,000 samples of 100 classes, each split of 100 sees too few for its p(y): less than over all samples."""
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = torch.randn(1000, 100, generator=torch.Generator().manual_seed(0)) * 4
    ours = InceptionScore(100, 1000)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1)).tolist()
    for block in order:  # as processes and blocks come
        ours.update(logits[50 * block : 50 * (block + 1)], 50 * block)
    reference = isc_features_to_metric(logits, splits=10)
    assert float(ours.compute().mean) == pytest.approx(reference["inception_score_mean"], rel=1e-9)
    assert float(ours.compute().std) == pytest.approx(reference["inception_score_std"], rel=1e-9)
    over_all = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    assert float(ours.compute().mean) < 0.9 * over_all


@pytest.mark.parametrize("num_samples", [1, 3, 10, 11, 2560])
def test_splits_are_equal_and_do_not_follow_the_order_of_samples(num_samples: int) -> None:
    split = InceptionScore(2, num_samples).split_of
    sizes = split.bincount()
    assert len(sizes) == min(10, num_samples)
    assert sizes.max() - sizes.min() <= 1
    if num_samples > 1000:
        assert (split[:256].bincount(minlength=10) > 10).all()
        assert (split[::10].bincount(minlength=10) > 10).all()


def test_the_inception_score_of_few_samples_has_a_warning() -> None:
    data = digits()
    images = Samples(draw(to_unit(data.samples[:64])), 64)
    scores = evaluate_all(
        {"images": ImageScores(EfficientNetLite0(32), num_samples=64)}, images, data, CPU
    )
    found = {score.name: score for score in scores}
    for name in ("is_efficientnet_lite0", "is_std_efficientnet_lite0"):
        assert found[name].protocol["splits"] == 10
        assert "fewer than 20000 generated samples in 10 splits" in found[name].protocol["warning"]
    assert "splits" not in found["fd_efficientnet_lite0"].protocol


def test_logits_that_are_no_numbers_are_refused() -> None:
    score = InceptionScore(3, 4)
    score.update(torch.tensor([[0.0, math.nan, 1.0]]))
    with pytest.raises(DataError, match="class logits of images hold NaN"):
        score.compute()


def test_the_packaged_extractor_knows_what_it_sees() -> None:
    from sklearn.datasets import load_sample_image

    extractor = EfficientNetLite0(224)
    tops = {}
    for name in ("flower.jpg", "china.jpg"):
        image = torch.from_numpy(load_sample_image(name)[:, 100:527].copy()).permute(2, 0, 1)[None]
        features, logits = extractor(image)
        tops[name] = logits.topk(3).indices[0].tolist()
    assert features.shape == (1, 1280)
    assert 985 in tops["flower.jpg"], "ImageNet class 985 is daisy"
    assert 698 in tops["china.jpg"], "ImageNet class 698 is palace"


def test_gray_and_tiny_images_pass_the_extractor() -> None:
    extractor = EfficientNetLite0(32)
    gray = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(extractor(gray)[0], extractor(gray.expand(-1, 3, -1, -1))[0])
    with pytest.raises(ValueError, match=r"extractor.image_size must be >= 32, got 8"):
        EfficientNetLite0(8)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_samples_are_the_same_however_they_are_dealt(world_size: int) -> None:
    blocks = [
        block
        for rank in range(world_size)
        for block in Samples(draw(torch.arange(12), 4), 10, 4, rank, world_size)
    ]
    for block in blocks:
        assert torch.equal(
            block.samples, torch.arange(block.start, block.start + len(block.samples))
        )
    assert sorted(torch.cat([block.samples for block in blocks]).tolist()) == list(range(10))


def test_real_images_score_better_than_noise() -> None:
    data = digits()
    evaluator = ImageScores(EfficientNetLite0(32), num_samples=600)
    real = to_unit(data.samples[:600])
    rng = torch.rand(600, 1, 8, 8) * 2 - 1

    def scores(images: torch.Tensor) -> dict[str, float]:
        result = evaluate_all({"images": evaluator}, Samples(draw(images), 600), data, CPU)
        return {score.name: score.value for score in result}

    assert scores(real)["fd_efficientnet_lite0"] < 0.2 * scores(rng)["fd_efficientnet_lite0"]


def test_a_score_carries_its_protocol_and_a_warning() -> None:
    data = digits()
    evaluator = ImageScores(EfficientNetLite0(32), num_samples=64)
    (score, *_) = evaluate_all(
        {"images": evaluator}, Samples(draw(to_unit(data.samples[:64])), 64), data, CPU
    )
    expected = {
        "extractor": "efficientnet_lite0",
        "resize": "antialiased bilinear",
        "data": "digits",
        "input_size": 32,
    }
    expected |= {"num_real": 1797, "num_generated": 64, "split": "all"}
    assert expected.items() <= score.protocol.items()
    assert len(score.protocol["weights_sha256"]) == 64
    assert "biased" in score.protocol["warning"]


def test_a_corrupt_cache_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))
    evaluator, data = ImageScores(EfficientNetLite0(32), num_samples=2), digits()
    good = evaluator.real_moments(data, CPU)
    (cached,) = (tmp_path / "statistics").iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    assert torch.equal(evaluator.real_moments(data, CPU).mean, good.mean)
    good._replace(mean=good.mean * math.nan).save(cached)
    assert torch.equal(evaluator.real_moments(data, CPU).mean, good.mean)


def test_mode_coverage_by_hand() -> None:
    data = ring()
    centers, std = data.centers, data.std
    away = centers[0] + torch.tensor([0.0, 4 * std])
    generated = torch.cat(
        [centers[:1].repeat(3, 1), centers[1:2] + 2.9 * std / math.sqrt(2), away[None]]
    )
    scores = {
        s.name: s.value
        for s in evaluate_all({"modes": ModeCoverage(5)}, Samples(draw(generated), 5, 5), data, CPU)
    }
    assert scores["modes"] == 2
    assert scores["high_quality"] == pytest.approx(4 / 5)
    shares = (4 / 5, 1 / 5)
    assert scores["reverse_kl"] == pytest.approx(sum(p * math.log(8 * p) for p in shares))


def test_real_samples_cover_every_mode() -> None:
    data = grid()
    samples = Samples(draw(data.samples, 500), 2500, 500)
    scores = {s.name: s.value for s in evaluate_all({"modes": ModeCoverage()}, samples, data, CPU)}
    assert scores["modes"] == 25
    assert scores["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.01)
    assert scores["reverse_kl"] < 1e-6


def test_metrics_and_data_that_do_not_match() -> None:
    with pytest.raises(DataError, match="for mixtures metric=modes"):
        ImageScores(EfficientNetLite0(32), 2).check(ring())
    with pytest.raises(DataError, match="use metric=images"):
        ModeCoverage(2).check(digits())


def test_the_distance_does_not_depend_on_eigh(monkeypatch) -> None:
    torch.manual_seed(0)
    few, many = moments_of(torch.randn(3, 12)), moments_of(torch.randn(50, 12) + 1)
    expected = frechet_distance(few, many)

    def fails(_: torch.Tensor):
        raise torch.linalg.LinAlgError("too many repeated eigenvalues")

    monkeypatch.setattr(torch.linalg, "eigh", fails)
    monkeypatch.setattr(torch.linalg, "eigvalsh", fails)
    assert frechet_distance(few, many) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)


DEGENERATE = {
    "constant": torch.zeros(40, 1, 16, 16),
    "two samples": torch.linspace(-1, 1, 2 * 256).view(2, 1, 16, 16),
    "saturated": torch.ones(40, 1, 16, 16) * 5,
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_samples_score_as_numbers_with_a_warning(name: str) -> None:
    """Fewer samples than features, all alike, or outside [-1, 1]: a finite score that says what is wrong with it."""
    fake, source = DEGENERATE[name], digits(image_size=16)
    scores = evaluate_all(
        {"images": ImageScores(EfficientNetLite0(32), len(fake))},
        Samples(draw(fake), len(fake)),
        source,
        CPU,
    )
    assert all(math.isfinite(score.value) for score in scores)
    for kind in ("generated", "real"):  # 1,797 digits, 1,280 features
        assert (
            f"fewer than 2560 {kind} samples: the Frechet distance is biased upwards"
            in scores[0].protocol["warning"]
        )
    assert ("all generated samples are alike" in scores[0].protocol["warning"]) == (
        name != "two samples"
    )
    assert 50 < scores[0].value < 500, "real digits of this number score below 20"
    assert 1 - 1e-6 <= scores[1].value < 1.2, "one kind of image has an Inception score of 1"


def test_one_image_is_refused_and_neighbors_need_enough() -> None:
    evaluator = ImageScores(EfficientNetLite0(32), 2)
    with pytest.raises(DataError, match="needs at least 2 real images, data=x has 1"):
        evaluator.check(Source("x", "all", torch.zeros(1, 1, 8, 8, dtype=torch.uint8)))
    evaluator.num_samples = 1
    with pytest.raises(DataError, match="needs at least 2 generated images, got 1"):
        evaluator.check(digits())
    with pytest.raises(DataError, match="3 neighbors need more than 3 samples, got 3"):
        radii(torch.randn(3, 2), 3)


def test_warnings_stand_beside_each_other() -> None:
    assert warned({"a": 1}) == {"a": 1}
    assert warned({"warning": "one"}, "two", "three") == {"warning": "one; two; three"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_no_numbers_are_not_scored(value: float) -> None:
    fake = torch.full((8, 1, 16, 16), value)
    with pytest.raises(DataError, match=r"generated samples hold NaN or infinite numbers"):
        evaluate_all(
            {"images": ImageScores(EfficientNetLite0(32), 8)},
            Samples(draw(fake), 8),
            digits(image_size=16),
            CPU,
        )


@pytest.mark.slow
def test_the_datas_own_classifier_as_extractor(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))
    source = digits(image_size=16)
    evaluator = ImageScores(OwnClassifier(), 512)
    rng = torch.rand(512, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = [
        {
            score.name: score
            for score in evaluate_all({"images": evaluator}, Samples(draw(fake), 512), source, CPU)
        }
        for fake in (to_unit(source.samples[:512]), rng)
    ]
    assert found[0]["fd_classifier"].value < 0.02 * found[1]["fd_classifier"].value
    assert 6 < found[0]["is_classifier"].value <= 10, (
        "ten digits; smoothed labels keep the classifier from certainty"
    )
    protocol = found[0]["fd_classifier"].protocol
    assert protocol["accuracy_on_real"] > 0.95
    assert len(protocol["weights_sha256"]) == 64
    with pytest.raises(DataError, match="a classifier needs labelled images"):
        OwnClassifier().check(ring())


class ReadsBrightness(torch.nn.Module):
    """Digit d is an image of brightness 20 d."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (1, 4, 4)
        return torch.nn.functional.one_hot(
            (images[:, 0, 0, 0].float() / 20).round().long(), 10
        ).float()


def test_stacked_modes_by_hand(monkeypatch) -> None:
    seen: list[Source] = []

    def run_discriminator(
        source: Source, device: torch.device, steps: int
    ) -> tuple[torch.nn.Module, float]:
        seen.append(source)
        return ReadsBrightness(), 0.99

    monkeypatch.setattr("gan_zoo.metrics.stacked_mnist_modes.classifier", run_discriminator)
    rgb = torch.tensor([[1, 2, 3], [1, 2, 3], [3, 2, 1], [0, 0, 9]])
    images = (20 * rgb).to(torch.uint8).view(4, 3, 1, 1).expand(-1, -1, 4, 4).contiguous()
    labels, names = torch.tensor([123, 123, 321, 9]), [str(mode) for mode in range(1000)]
    source = Source("stacked_mnist", "train", images, labels, classes=names)
    found = evaluate_all({"modes": StackedModes(4)}, Samples(draw(to_unit(images)), 4), source, CPU)
    assert [score.value for score in found] == [
        3,
        pytest.approx(0.5 * math.log(500) + 0.5 * math.log(250)),
    ]
    assert found[0].protocol["classifier_accuracy_on_real"] == 0.99
    assert seen[0].labels is not None
    assert seen[0].labels.tolist() == rgb.flatten().tolist()
    assert ReadsBrightness()(seen[0].samples).argmax(1).tolist() == rgb.flatten().tolist()
    with pytest.raises(
        DataError,
        match="metric=stacked_modes counts the modes of data=stacked_mnist, got data=digits",
    ):
        StackedModes().check(digits())
