"""Metrics of models with an encoder: by hand, and refused for others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Encodes, Reconstructs
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics import reconstruction as reconstruction_file
from gan_zoo.metrics.base import EvaluatedModel
from gan_zoo.metrics.encoder_neighbors import EncoderNeighbors, nearest_accuracy
from gan_zoo.metrics.reconstruction import Reconstruction

CPU = torch.device("cpu")


class Halving:
    """Codes are the mean of each image; reconstructions are half of the images."""

    def encode(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        return x.flatten(1).mean(1, keepdim=True)

    def reconstruct(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        return x / 2


MODEL = EvaluatedModel(Halving(), nn.ModuleDict())


def source(count: int = 150, **options) -> Source:
    images = torch.randint(0, 256, (count, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Source("x", "train", images, **options)


def test_the_protocols_are_met_by_methods_alone() -> None:
    assert isinstance(Halving(), Reconstructs)
    assert isinstance(Halving(), Encodes)
    assert not isinstance(SimpleNamespace(encode=None), Reconstructs)


def test_the_error_of_reconstructions_by_hand() -> None:
    data = source()
    evaluator = Reconstruction(num_real=130)
    evaluator.check(data, MODEL.model)
    evaluator.prepare(data, CPU, MODEL)
    (result,) = evaluator.compute()
    assert result.name == "reconstruction_l1"
    assert result.value == pytest.approx(float(to_unit(data.samples[:130]).abs().mean()) / 2, rel=1e-5)
    assert result.protocol == {"data": "x", "split": "train", "num_real": 130, "range": "[-1, 1]"}


def test_the_held_out_part_is_reconstructed() -> None:
    held_out = Source("x", "test", torch.full((5, 1, 4, 4), 255, dtype=torch.uint8))
    evaluator = Reconstruction()
    evaluator.prepare(source(held_out=lambda: held_out), CPU, MODEL)
    (result,) = evaluator.compute()
    assert result.value == pytest.approx(0.5)
    assert result.protocol["split"] == "test"


@pytest.mark.parametrize("ranks", [2, 3])
def test_blocks_are_divided_among_processes(ranks: int, monkeypatch) -> None:
    """The sums of all processes are those of one; a process may get no block."""
    data = source(140)  # three blocks
    alone = Reconstruction()
    alone.prepare(data, CPU, MODEL)
    parts = []
    monkeypatch.setattr(reconstruction_file, "world_size", lambda: ranks + 1)
    for rank in range(ranks + 1):
        monkeypatch.setattr(reconstruction_file, "rank", lambda rank=rank: rank)
        part = Reconstruction()
        part.prepare(data, CPU, MODEL)
        parts.append(part.mean)
    for name in ("mean_value", "weight"):
        torch.testing.assert_close(sum(getattr(part, name) for part in parts), getattr(alone.mean, name))


def test_nearest_neighbors_by_hand() -> None:
    points, labels = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]]), torch.tensor([5, 6, 7])
    queries = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 4.0]])
    assert nearest_accuracy(points, labels, queries, torch.tensor([5, 6, 7, 7])) == 3 / 4


def test_codes_that_know_the_class_separate_it_and_pixels_do_not() -> None:
    """The class is whether the mean is above the middle; a large pattern of each image drowns it in pixels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    pattern = torch.randn(200, 1, 4, 4, generator=generator)
    pattern = pattern - pattern.mean((1, 2, 3), keepdim=True)
    images = (128 + 40 * pattern + 4 * (2 * labels.view(-1, 1, 1, 1) - 1)).clamp(0, 255).to(torch.uint8)
    data = Source("x", "all", images, labels)
    evaluator = EncoderNeighbors()
    evaluator.check(data, MODEL.model)
    evaluator.prepare(data, CPU, MODEL)
    by_code, by_pixels = evaluator.compute()
    assert (by_code.name, by_pixels.name) == ("encoder_1nn", "pixel_1nn")
    assert by_code.value > 0.95 > by_pixels.value
    assert by_code.protocol["num_train"] == 180
    assert by_code.protocol["num_real"] == 20


def test_models_without_encoder_are_refused() -> None:
    with pytest.raises(DataError, match="needs a model with an encoder, such as bigan or vae, got SimpleNamespace"):
        Reconstruction().check(source(), SimpleNamespace())
    with pytest.raises(DataError, match="needs a model with an encoder, such as bigan, got none"):
        EncoderNeighbors().check(source(labels=torch.zeros(150, dtype=torch.int64)))
    with pytest.raises(DataError, match="needs labelled images"):
        EncoderNeighbors().check(source(), Halving())


@pytest.mark.parametrize("model", ["bigan", "vae", "vae_gan"])
def test_models_with_an_encoder_are_evaluated_in_training_and_after(model: str, trained) -> None:
    from gan_zoo.inference.evaluate import evaluate_run

    folder = trained(f"model={model}", "data=digits", "generator.width=4")
    results = evaluate_run(folder, ["metric=[reconstruction,encoder_neighbors]"], device="cpu")
    values = {result.name: result.value for result in results}
    assert 0 < values["reconstruction_l1"] < 2
    assert 0 <= values["encoder_1nn"] <= 1
    assert values["pixel_1nn"] > 0.9
