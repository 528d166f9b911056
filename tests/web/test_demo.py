"""The generator that comes with the package."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import adaptive_avg_pool2d

from gan_zoo.core.paths import DEMO
from gan_zoo.inference.load import load


def test_it_is_small_and_has_its_card() -> None:
    files = {file.name: file.stat().st_size for file in DEMO.iterdir()}
    assert set(files) == {"generators.safetensors", "model.json", "README.md", "samples.png"}
    assert sum(files.values()) < 600_000


def test_it_draws_the_digit_that_is_asked_for() -> None:
    digits = load_digits()
    reads = LogisticRegression(max_iter=2000).fit(digits.data / 16, digits.target)
    run = load(DEMO, "cpu")
    right = []
    for label in range(10):
        samples = run.sample(20, seed=0, label=label)
        assert samples.shape == (20, 1, 32, 32)
        inside = adaptive_avg_pool2d((samples[..., 4:28, 4:28] + 1) / 2, 8)
        right.append((reads.predict(inside.flatten(1).numpy()) == label).mean())
    assert torch.tensor(right).mean() > 0.6, "by a linear classifier of digits of another origin"
