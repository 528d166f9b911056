"""FID and its kin agree with torch-fidelity on the same weights and images, and say so when they cannot."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.metrics.base import Generated, Samples, evaluate_all
from gan_zoo.metrics.functional import feature_metrics as features_module
from gan_zoo.metrics.functional.feature_metrics import (
    KID,
    DensityCoverage,
    PrecisionRecall,
    memorized,
    squared_mmd,
)
from gan_zoo.metrics.functional.frechet import FeatureMoments
from gan_zoo.metrics.image_quality import ImageScores

theirs = pytest.importorskip(
    "torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity is not installed"
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory):
    """torch-fidelity's network with random weights, and the file that holds them in the published format."""
    patch = pytest.MonkeyPatch()
    patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
    patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_, **__: None)
    torch.manual_seed(0)
    network = theirs.FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"])
    patch.undo()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(network.state_dict(), path)
    return network, path


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rng = torch.randint(0, 256, (24, 3, 40, 40), dtype=torch.uint8, generator=generator)
    return rng[:12], (rng[12:].float() * 0.6).to(torch.uint8)


def ours(path: Path, **options):
    from gan_zoo.metrics.extractors.inception import InceptionV3

    return InceptionV3(str(path), check_hash=False, **options)


def test_features_logits_and_scores_agree_with_torch_fidelity(reference, images) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric

    network, path = reference
    extractor = ours(path)
    (real_f, _), (fake_f, fake_logits) = (network(part) for part in images)
    features, logits = extractor(images[1])
    torch.testing.assert_close(features, fake_f, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits, fake_logits, rtol=1e-4, atol=1e-4)

    evaluator = ImageScores(extractor, num_samples=12)
    real, fake = images

    def draw(block: int) -> Generated:
        return Generated({"sample": fake.float() / 127.5 - 1}, SampleRequest(12, StepRNG(0, block)))

    scores = {
        s.name: s
        for s in evaluate_all(
            {"images": evaluator}, Samples(draw, 12, 12), Source("x", "all", real), CPU
        )
    }
    statistics = [fid_features_to_statistics(f) for f in (fake_f, real_f)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert scores["fid"].value == pytest.approx(expected, rel=1e-3)
    splits = isc_features_to_metric(fake_logits, splits=10)
    assert scores["is"].value == pytest.approx(splits["inception_score_mean"], rel=1e-3)
    assert scores["is_std"].value == pytest.approx(
        splits["inception_score_std"], rel=1e-2, abs=1e-6
    )
    assert scores["is"].protocol["splits"] == 10
    assert scores["fid"].protocol["protocol"] == "fid-tf"
    assert "not the published weights" in scores["is"].protocol["warning"]


def test_set_scores_agree_with_torch_fidelity() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    torch.manual_seed(0)
    fake, real = torch.randn(300, 8) * 0.8 + 0.3, torch.randn(400, 8)
    kid = kid_features_to_metric(
        fake, real, kid_subsets=10, kid_subset_size=100, rng_seed=2020, verbose=False
    )
    found = KID(10, 100)(real, fake)
    assert found["kid"] == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-5)
    assert found["kid_std"] == pytest.approx(kid["kernel_inception_distance_std"], rel=1e-4)
    prc = prc_features_to_metric(fake, real, prc_neighborhood=3, verbose=False)
    found = PrecisionRecall(3)(real, fake)
    assert found["precision"] == pytest.approx(prc["precision"], abs=1e-6)
    assert found["recall"] == pytest.approx(prc["recall"], abs=1e-6)


def test_mmd_by_hand_and_zero_for_equal_distributions() -> None:
    x, y = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    k = lambda a, b: (a * b + 1) ** 3  # noqa: E731
    by_hand = k(1, 2) + k(0, 1) - 2 * (k(1, 0) + k(1, 1) + k(2, 0) + k(2, 1)) / 4
    assert squared_mmd(x, y) == pytest.approx(by_hand)
    torch.manual_seed(0)
    same = KID(20, 200)(torch.randn(600, 4), torch.randn(600, 4))
    assert abs(same["kid"]) < 3 * same["kid_std"]


def by_definition(real: Tensor, fake: Tensor, k_pr: int, k_dc: int) -> dict[str, float]:
    """Precision, recall, density and coverage from differences of features in float64, without matrix products."""

    def distances(a: Tensor, b: Tensor) -> Tensor:
        return (a.double()[:, None] - b.double()).square().sum(2).sqrt()

    between, within = distances(real, fake), (distances(real, real), distances(fake, fake))
    of_real, of_fake = (own.sort(1).values[:, k_pr] for own in within)
    inside = between < within[0].sort(1).values[:, k_dc, None]
    return {
        "precision": float((between <= of_real[:, None]).any(0).double().mean()),
        "recall": float((between <= of_fake).any(1).double().mean()),
        "density": float(inside.double().sum(0).mean()) / k_dc,
        "coverage": float(inside.any(1).double().mean()),
    }


@pytest.mark.parametrize("common", [0.0, 3e3])
def test_a_large_common_part_of_the_features_changes_nothing(common: float) -> None:
    """In float32 by matrix products the distances would be noise."""
    draw = torch.Generator().manual_seed(0)
    real = torch.randn(120, 32, generator=draw) + common
    fake = torch.randn(100, 32, generator=draw) * 0.8 + 0.3 + common
    expected = by_definition(real, fake, 3, 5)
    assert min(expected.values()) > 0.1
    assert max(expected["precision"], expected["recall"]) < 1
    found = PrecisionRecall(3)(real, fake) | DensityCoverage(5)(real, fake)
    assert found == pytest.approx(expected, abs=1e-12)


def test_blocks_give_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    real, fake, held_out = (torch.randn(count, 4, generator=draw) for count in (50, 40, 60))

    def all_scores() -> dict[str, float]:
        scores = (
            PrecisionRecall(3)(real, fake) | DensityCoverage(5)(real, fake) | KID(4, 20)(real, fake)
        )
        return scores | {"memorization": memorized(fake, real, held_out)}

    whole = all_scores()
    monkeypatch.setattr(features_module, "BLOCK", 130)
    assert all_scores() == pytest.approx(whole, abs=1e-12)


def test_equal_features_are_at_distance_zero() -> None:
    """Copies of the reals are inside, and a generator that repeats one image covers that one alone."""
    real = torch.randn(40, 300, generator=torch.Generator().manual_seed(0)) + 100
    assert PrecisionRecall(3)(real, real.clone()) == {"precision": 1.0, "recall": 1.0}
    alike = real[:1].expand(30, -1)
    assert PrecisionRecall(3)(real, alike) == {"precision": 1.0, "recall": 1 / 40}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_no_numbers_are_refused(value: float) -> None:
    good, bad = torch.randn(20, 3), torch.randn(20, 3)
    bad[7, 1] = value
    scores = [
        KID(2, 5),
        PrecisionRecall(3),
        DensityCoverage(3),
        lambda real, fake: memorized(fake, real, real),
    ]
    for score in scores:
        for real, fake in ((good, bad), (bad, good)):
            with pytest.raises(
                DataError, match=r"features of (real|generated) images hold NaN or infinite numbers"
            ):
                score(real, fake)
    moments = FeatureMoments(3)
    moments.update(bad)
    with pytest.raises(DataError, match="features of images hold NaN"):
        moments.compute()


def test_manifolds_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0], [10.0]])
    fake = torch.tensor([[0.5], [2.0], [50.0], [51.0]])
    # Nearest neighbors of reals: 1, 1, 2, 7. Of fakes: 1.5, 1.5, 1, 1.
    assert PrecisionRecall(1)(real, fake) == pytest.approx({"precision": 0.5, "recall": 0.75})
    # Strictly inside: 0.5 in the balls of 0 and 1; 2.0 in that of 3 alone (of 1 it is at the edge).
    found = DensityCoverage(1)(real, fake)
    assert found["density"] == pytest.approx((2 + 1 + 0 + 0) / 4)
    assert found["coverage"] == pytest.approx(3 / 4)


def test_copies_of_training_images_are_seen_as_memorized() -> None:
    torch.manual_seed(0)
    train, held_out, fresh = torch.randn(200, 5), torch.randn(300, 5), torch.randn(400, 5)
    assert memorized(train + 1e-3, train, held_out) == 1
    assert memorized(fresh, train, held_out) == pytest.approx(0.5, abs=0.1)


def test_memorization_needs_neither_equal_sizes_nor_an_order() -> None:
    """Images of five classes in the order of their classes, as in folders; a tenth is held out."""
    draw = torch.Generator().manual_seed(0)
    centers = 20 * torch.randn(5, 6, generator=draw)

    def images(each: int) -> Tensor:
        return centers.repeat_interleave(each, 0) + torch.randn(5 * each, 6, generator=draw)

    train, held_out = images(180), images(20)
    assert memorized(images(200), train, held_out) == pytest.approx(0.5, abs=0.1)
    assert memorized(train + 1e-3, train, held_out) == 1
    assert memorized(held_out + 1e-3, train, held_out) == 0
    half = torch.cat([train[::2] + 1e-3, images(90)])
    assert memorized(half, train, held_out) == pytest.approx(0.75, abs=0.1)


def test_the_clean_resize_is_pillows() -> None:
    import numpy as np
    from PIL import Image

    from gan_zoo.metrics.extractors.inception import resized

    image = np.random.default_rng(0).random((64, 64), dtype=np.float32) * 255
    to_pil = np.asarray(Image.fromarray(image).resize((299, 299), Image.Resampling.BICUBIC)).clip(
        0, 255
    )
    found = resized(torch.from_numpy(image).expand(1, 3, 64, 64), "clean")[0, 0].numpy()
    assert abs(found - to_pil).max() < 0.01


@pytest.mark.parametrize("size", [(7, 5), (299, 299), (310, 400)])
def test_the_resize_is_tensorflows_to_the_bit(size) -> None:
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x as legacy,
    )

    from gan_zoo.metrics.extractors.inception import resized

    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 255
    assert torch.equal(resized(images, "tf"), legacy(images, size=(299, 299), align_corners=False))


def test_weights_that_cannot_be_used_say_why(reference, tmp_path: Path, monkeypatch) -> None:
    from gan_zoo.metrics.extractors.inception import InceptionV3

    _, path = reference
    with pytest.raises(
        DataError,
        match=r"is not the published file: its SHA-256 begins with \w{8}, not with 6726825d",
    ):
        InceptionV3(str(path))
    with pytest.raises(
        DataError, match=r"must be a file, got 'nowhere\.pth', which does not exist"
    ):
        InceptionV3("nowhere.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(DataError, match="is damaged or no weights file"):
        ours(tmp_path / "junk.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="does not hold InceptionV3"):
        ours(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="resize must be one of tf, clean, got 'cubic'"):
        ours(path, resize="cubic")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _no_network)
    with pytest.raises(DataError, match=r"cannot be downloaded .*give extractor.weights=FILE"):
        InceptionV3()


def _no_network(*_, **__) -> None:
    raise OSError("no network")
