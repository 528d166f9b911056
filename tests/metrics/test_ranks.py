"""One, two and three processes give the same scores."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hydra import compose, initialize_config_dir

from gan_zoo.config.build import build_data, build_module
from gan_zoo.core.paths import CONF
from gan_zoo.core.warning_filters import quiet
from gan_zoo.metrics.extractors.efficientnet_lite0 import EfficientNetLite0
from gan_zoo.metrics.functional import feature_metrics as features
from gan_zoo.metrics.functional.feature_metrics import KID, DensityCoverage, PrecisionRecall
from gan_zoo.metrics.image_quality import ImageScores
from gan_zoo.metrics.mode_coverage import ModeHistogram
from gan_zoo.training.scoring import evaluate_generator
from tests import processes

COUNTS = (
    100,
    150,
)  # two blocks, so that a third process has none, and three, the last of them short
Result = dict[str, float]


def scores(rank: int, ranks: int) -> list[Result]:
    """All scores of an untrained generator against real digits, a part of them held out."""
    features.BLOCK = 2000  # so that several processes have rows of distances to compute
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "config",
            [
                "run_dir=none",
                "data=digits",
                "data.image_size=16",
                "generator.width=8",
                "discriminator.width=8",
            ],
        )
    torch.manual_seed(0)
    module, source = build_module(config), build_data(config).source
    assert source.labels is not None
    train, rest = (
        replace(source, samples=source.samples[rows], labels=source.labels[rows], fingerprint=name)
        for rows, name in ((slice(0, 600), "a"), (slice(600, 1000), "b"))
    )
    train.held_out = lambda: rest
    parts = {
        "kid": KID(subsets=3, subset_size=50),
        "pr": PrecisionRecall(),
        "dc": DensityCoverage(),
    }
    found = []
    for count in COUNTS:
        images = ImageScores(EfficientNetLite0(32), count, parts=parts, memorization=True)
        found.append(
            {
                s.name: s.value
                for s in evaluate_generator(module, train, {"images": images}, 7, rank, ranks)
            }
        )
    return found


def work(rank: int, ranks: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks
    )
    try:
        torch.save(scores(rank, ranks), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def alone() -> list[Result]:
    torch.set_num_threads(1)
    return scores(0, 1)


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_scores_do_not_depend_on_the_number_of_processes(
    ranks: int, alone: list[Result], tmp_path: Path
) -> None:
    processes.on_ranks(work, ranks, ranks, str(tmp_path))
    assert len(alone[0]) == 10
    for rank in range(ranks):
        for one, several in zip(alone, torch.load(tmp_path / f"{rank}.pt"), strict=True):
            assert several == pytest.approx(one, rel=1e-9, abs=1e-12)


def test_a_process_without_samples_is_not_warned_of() -> None:
    with warnings.catch_warnings(record=True) as caught:
        quiet()
        ModeHistogram(3).compute()
    assert caught == []
