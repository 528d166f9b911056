"""PSNR and SSIM of restored images: values by hand and by torchmetrics, inputs beside them, processes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.derived import Downscale, Gray, Mask, with_derived_conditions
from gan_zoo.metrics.base import Generated, MetricResult, Samples, evaluate_all
from gan_zoo.metrics.restoration import Restoration, as_target, fidelity

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def data(derivation=None, side: int = 12, **options) -> Source:
    images = (127.5 * noise(4, 3, side, side) + 127.5).to(torch.uint8)
    source = Source("images", "train", images, **options)
    return with_derived_conditions(source, derivation or Downscale(2))


def scored(
    visuals: dict[str, Tensor], source: Source, rank: int = 0, ranks: int = 1
) -> tuple[Restoration, dict[str, MetricResult]]:
    def block(k: int) -> Generated:
        part = {name: view[2 * k : 2 * k + 2] for name, view in visuals.items()}
        return Generated(part, SampleRequest(len(part["sample"]), StepRNG(0, k)))

    count = len(visuals["sample"])
    metric = Restoration(count)
    samples = Samples(block, count, 2, rank, ranks)
    results = evaluate_all({"restoration": metric}, samples, source, CPU)
    return metric, {result.name: result for result in results}


def restored(count: int = 3) -> dict[str, Tensor]:
    target = noise(count, 3, 12, 12)
    sample = (target + 0.3 * noise(count, 3, 12, 12, seed=1)).clamp(-1, 1)
    return {"input": Downscale(2)(target, StepRNG(0, 0)), "sample": sample, "target": target}


def test_psnr_by_hand() -> None:
    """Off by 0.2 everywhere: 10 log10(4 / 0.04) = 20 dB; equal images count as 100 dB."""
    target = torch.zeros(3, 1, 4, 4)
    images = torch.stack([target[0] + 0.2, target[1] - 0.02, target[2]])
    assert fidelity(images, target)[:, 0].tolist() == pytest.approx([20, 40, 100], abs=1e-4)
    assert fidelity(target, target)[:, 1].tolist() == pytest.approx([1, 1, 1])
    assert fidelity(target + 5, target + 1)[:, 0].tolist() == [100] * 3, "clipped to [-1, 1]"


def test_values_of_torchmetrics() -> None:
    views = restored()
    _, results = scored(views, data())
    upscaled = F.interpolate(views["input"], (12, 12), mode="bicubic").clamp(-1, 1)
    for images, suffix in ((views["sample"], ""), (upscaled, "_bicubic")):
        psnr = peak_signal_noise_ratio(
            images + 1, views["target"] + 1, data_range=2.0, dim=(1, 2, 3), reduction="none"
        )
        similarity = structural_similarity_index_measure(
            images + 1, views["target"] + 1, data_range=2.0
        )
        assert results[f"psnr{suffix}"].value == pytest.approx(psnr.mean().item(), rel=1e-5)
        assert results[f"ssim{suffix}"].value == pytest.approx(similarity.item(), rel=1e-5)
    assert list(results) == ["psnr", "psnr_bicubic", "ssim", "ssim_bicubic"]


def test_the_mean_is_over_images_and_not_over_errors() -> None:
    target = torch.zeros(2, 3, 12, 12)
    views = {"sample": target.clone(), "target": target, "input": target}
    views["sample"][0] += 0.2
    views["sample"][1] += 0.02
    _, results = scored(views, data(Mask()))
    assert results["psnr"].value == pytest.approx(30, abs=1e-4)


@pytest.mark.parametrize(
    ("derivation", "suffix"),
    [(Downscale(2), "bicubic"), (Mask(), "input"), (Gray(), "input")],
)
def test_what_stands_beside_the_outputs(derivation, suffix: str) -> None:
    target = noise(2, 3, 12, 12)
    views = {"input": derivation(target, StepRNG(0, 0)), "sample": target, "target": target}
    _, results = scored(views, data(derivation))
    assert set(results) == {"psnr", "ssim", f"psnr_{suffix}", f"ssim_{suffix}"}
    assert results["psnr"].value == 100 > results[f"psnr_{suffix}"].value


def test_inputs_in_the_shape_of_targets() -> None:
    target = noise(2, 3, 12, 12)
    masked = Mask()(target, StepRNG(0, 0))
    assert torch.equal(as_target(masked, target), masked[:, :3])
    gray = Gray()(target, StepRNG(0, 0))
    assert torch.equal(as_target(gray, target), torch.cat([gray] * 3, 1))


def test_the_protocol_names_the_split() -> None:
    held_out = data(held_out=lambda: replace(data(), split="test"))
    _, results = scored(restored(), held_out)
    assert results["psnr"].protocol == {
        "data": "images",
        "split": "test",
        "range": "[-1, 1]",
        "pixels": "all, of all channels",
        "num_generated": 3,
    }
    _, results = scored(restored(), data())
    assert "no held-out part" in results["psnr"].protocol["warning"]


def test_processes_share_the_sums() -> None:
    """Two blocks on three processes: the sums of all are those of one."""
    views = restored(4)
    parts = [scored(views, data(), rank, 3)[0] for rank in range(3)]
    whole, _ = scored(views, data())
    for name in ("means", "input_means"):
        total = sum(getattr(part, name).total for part in parts)
        torch.testing.assert_close(total, getattr(whole, name).total)
        assert [int(getattr(part, name).count) for part in parts] == [2, 2, 0]


def test_what_cannot_be_scored() -> None:
    images = torch.zeros(4, 3, 12, 12, dtype=torch.uint8)
    with pytest.raises(DataError, match="data=images has no pairs of images: use data/derive"):
        Restoration(2).check(Source("images", "train", images))
    other = Source("images", "train", images, conditions=images, aligned=False)
    with pytest.raises(DataError, match="has no pairs of images"):
        Restoration(2).check(other)
    with pytest.raises(DataError, match="needs images of 3 pixels or more"):
        Restoration(2).check(data(side=2))
    with pytest.raises(DataError, match="such as srgan or pix2pix, got one that displays sample"):
        scored({"sample": noise(2, 3, 12, 12)}, data())
    with pytest.raises(ValueError, match="num_samples must be >= 1, got 0"):
        Restoration(0)
