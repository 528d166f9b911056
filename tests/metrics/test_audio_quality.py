"""Metrics of sounds, against values computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.tones import tones
from gan_zoo.data.spectrograms import log_mel
from gan_zoo.metrics import audio_quality
from gan_zoo.metrics.audio_quality import AudioScores, band_statistics, spectrogram_source
from gan_zoo.metrics.base import Generated, MetricResult
from tests.helpers import model_of

DATA = tones(length=1024, num_samples=300)
UNLABELED = replace(DATA, labels=None, classes=None, held_out=None)


def score(
    sounds: Tensor, source: Source = UNLABELED, labels: Tensor | None = None
) -> dict[str, MetricResult]:
    evaluator = AudioScores(num_samples=len(sounds))
    evaluator.check(source)
    evaluator.prepare(source, CPU, model_of("label", 5) if labels is not None else None)
    for start in range(0, len(sounds), 50):
        part = slice(start, start + 50)
        request = SampleRequest(len(sounds[part]), StepRNG(0, 0))
        requested = None if labels is None else labels[part]
        evaluator.update(Generated({"sample": sounds[part]}, request, requested, 5, start))
    return {result.name: result for result in evaluator.compute()}


def test_real_sounds_are_at_distance_zero_and_silence_is_not() -> None:
    same = score(DATA.samples)
    assert same["fd_log_mel"].value < 1e-6
    assert same["spectrum_distance"].value == 0
    assert set(same) == {"fd_log_mel", "spectrum_distance"}
    silence = score(torch.zeros(100, 1, 1024))
    real = log_mel(DATA.samples, 8000).mean((0, 1, 3))
    assert silence["spectrum_distance"].value == pytest.approx(float((real + 80).mean()), rel=1e-5)


def test_the_frechet_distance_by_hand() -> None:
    fake = 0.5 * DATA.samples[:150]
    moments = []
    for sounds in (DATA.samples, fake):
        features = band_statistics(log_mel(sounds, 8000)).double().numpy()
        moments.append((features.mean(0), np.cov(features.T)))
    (mean_a, a), (mean_b, b) = moments
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b @ root).clip(0)).sum()
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * cross
    found = score(fake)["fd_log_mel"]
    assert found.value == pytest.approx(expected, rel=1e-4)
    assert "fewer than 256 generated" in found.protocol["warning"]


class ByLevel(nn.Module):
    """A classifier whose class is that of the mean brightness, to check what is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 5)
        self.head.weight.data = torch.tensor(
            [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
        )
        self.head.bias.data = torch.tensor([20.0, 0.0, -9.0, -9.0, -9.0])

    def features(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3))[:, None].expand(-1, 2)


def test_classes_are_counted_and_compared_with_the_requested_ones(monkeypatch) -> None:
    monkeypatch.setattr(audio_quality, "SmallNet", ByLevel)
    monkeypatch.setattr(audio_quality, "classifier", lambda *_: (ByLevel(), 0.9))
    sounds = torch.cat([torch.zeros(30, 1, 1024), torch.randn(10, 1, 1024).clamp(-1, 1)])
    labels = torch.tensor([0] * 20 + [1] * 10 + [1] * 5 + [0] * 5)
    found = score(sounds, DATA, labels)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["class_entropy"].value == pytest.approx(entropy)
    assert found["class_match"].value == pytest.approx(25 / 40)
    assert found["class_match"].protocol["classifier_accuracy_on_real"] == 0.9
    assert "fd_audio_classifier" in found
    assert "class_match" not in score(sounds, DATA)


def test_spectrograms_are_images_with_the_same_labels() -> None:
    images = spectrogram_source(DATA)
    assert images.holds_images
    assert images.samples.shape[:3] == (270, 1, 32)
    assert torch.equal(images.labels, DATA.labels)
    rest = images.evaluation_split()
    assert rest.holds_images
    assert len(rest) == 30
    assert images.fingerprint != DATA.fingerprint


@pytest.mark.slow
def test_the_classifier_knows_the_tones(monkeypatch) -> None:
    monkeypatch.setattr(AudioScores, "training_steps", 60)
    found = score(DATA.samples, DATA)
    assert found["class_entropy"].protocol["classifier_accuracy_on_real"] > 0.95
    assert found["class_entropy"].value == pytest.approx(math.log(5), abs=0.01)


def test_other_data_are_refused() -> None:
    images = Source("x", "all", torch.zeros(4, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(DataError, match="metric=audio scores sounds, data=x has none"):
        AudioScores().check(images, SimpleNamespace())
