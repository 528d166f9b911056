"""The generator that comes with the package."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression

from gan_zoo.core.paths import DEMO
from gan_zoo.data.datasets.torchvision_datasets import mnist
from gan_zoo.inference.load import load


def test_it_is_small_and_has_its_card() -> None:
    files = {file.name: file.stat().st_size for file in DEMO.iterdir()}
    assert set(files) == {"generators.safetensors", "model.json", "README.md", "samples.png"}
    assert files["generators.safetensors"] < 600_000
    assert sum(files.values()) < 650_000


def test_it_draws_ten_classes() -> None:
    run = load(DEMO, "cpu")
    samples = torch.stack([run.sample(1, seed=0, label=label)[0] for label in range(10)])
    assert samples.shape == (10, 1, 32, 32)
    assert torch.pdist(samples.flatten(1)).min() > 3


def test_it_draws_the_digit_that_is_asked_for(shared_data: Path) -> None:
    real = mnist(str(shared_data), "test", download=False)
    reads = LogisticRegression(max_iter=100, tol=0.01)
    reads.fit(real.samples[:4000].flatten(1).float() / 127.5 - 1, real.labels[:4000])
    run = load(DEMO, "cpu")
    right = [
        (reads.predict(run.sample(40, seed=0, label=label).flatten(1)) == label).mean()
        for label in range(10)
    ]
    assert sum(right) / 10 > 0.9
