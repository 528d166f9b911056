"""DINOv2's features from a file in the published format."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import Generated, Samples, evaluate_all
from gan_zoo.metrics.extractors.dinov2 import DINOv2, placed
from gan_zoo.metrics.image_quality import ImageScores

vision_transformer = pytest.importorskip(
    "timm.models.vision_transformer", reason="timm is not installed"
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory):
    """timm's network at 518 pixels with random weights, and a file of them in the published format."""
    torch.manual_seed(0)
    network = (
        vision_transformer.vit_small_patch14_dinov2(pretrained=False, num_classes=0)
        .eval()
        .requires_grad_(False)
    )
    for block in network.blocks:
        for scale in (block.ls1, block.ls2):
            scale.gamma.data.fill_(0.5)  # as they begin, 1e-5, every block would be next to nothing
    path = tmp_path_factory.mktemp("weights") / "dinov2.pth"
    torch.save({**network.state_dict(), "mask_token": torch.zeros(1, 384)}, path)
    return network, path


def test_the_features_are_the_librarys_own(published) -> None:
    """At 224 pixels, where positions are interpolated by the published rule, and before that at their own size."""
    network, path = published
    extractor = DINOv2(str(path), check_hash=False)
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    features, logits = extractor(images)
    assert features.shape == (2, 384)
    assert logits.shape == (2, 0)
    small = vision_transformer.vit_small_patch14_dinov2(
        pretrained=False, num_classes=0, img_size=224
    ).eval()
    small.load_state_dict(network.state_dict() | {"pos_embed": placed(network.pos_embed)})
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    tokens = small.forward_features((images / 255 - mean) / std)
    torch.testing.assert_close(features, tokens[:, 0], rtol=1e-4, atol=1e-5)
    gray = torch.randint(0, 256, (1, 1, 20, 30), dtype=torch.uint8)
    assert extractor.normalized(gray).shape == (1, 3, 224, 224)


def test_positions_keep_their_places() -> None:
    line = torch.arange(37.0).expand(37, 37)
    grid = torch.stack([line, line.T], -1).view(1, 37 * 37, 2)
    found = placed(torch.cat([torch.full((1, 1, 2), 7.0), grid], 1))
    assert found.shape == (1, 257, 2)
    assert found[0, 0].tolist() == [7, 7]
    expected = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5
    inner = found[0, 1:].view(16, 16, 2)[1:-1, 1:-1]
    torch.testing.assert_close(inner[0, :, 0], expected[1:-1], rtol=0, atol=0.15)
    torch.testing.assert_close(inner[:, 0, 1], expected[1:-1], rtol=0, atol=0.15)


@pytest.mark.slow
def test_the_score_is_fd_dinov2_alone(published, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))
    data = digits()
    data.samples = data.samples[:4]
    data.fingerprint = "four"

    def draw(block: int) -> Generated:
        return Generated({"sample": to_unit(data.samples)}, SampleRequest(4, StepRNG(0, block)))

    evaluator = ImageScores(DINOv2(str(published[1]), check_hash=False), 4)
    (score,) = evaluate_all({"images": evaluator}, Samples(draw, 4), data, CPU)
    assert score.name == "fd_dinov2"
    assert score.value == pytest.approx(0, abs=1e-2)
    assert score.protocol["input_size"] == 224


def test_a_file_that_cannot_be_used_says_why(published, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(
        DataError, match=r"needs its weights: extractor.path=FILE, the published dinov2_vits14"
    ):
        DINOv2()
    with pytest.raises(
        DataError, match=r"must be a file, got 'nowhere\.pth', which does not exist"
    ):
        DINOv2("nowhere.pth")
    with pytest.raises(
        DataError,
        match=r"is not the published file: its SHA-256 begins with \w{8}, not with b938bf1b",
    ):
        DINOv2(str(published[1]))
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(DataError, match="is damaged or no weights file"):
        DINOv2(str(tmp_path / "junk.pth"), check_hash=False)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="does not hold DINOv2's ViT-S/14"):
        DINOv2(str(tmp_path / "other.pth"), check_hash=False)
    monkeypatch.setitem(sys.modules, "timm.models.vision_transformer", None)
    with pytest.raises(ImportError, match=r"pip install 'gan-zoo\[dinov2\]'"):
        DINOv2(str(published[1]), check_hash=False)
