"""Shared fixtures. No test needs the network, a GPU or data from outside the repository."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from gan_zoo.core.paths import CONF
from gan_zoo.launch.train import train

ROOT = Path(__file__).parents[1]
QUICK_RUN = ["trainer.max_steps=2", "data.batch_size=8", "logger=none", "metric=none"]
SHARED_DATA = ROOT.parent / "shared" / "data"


def is_xdist_worker() -> bool:
    """Whether this process is one of several that run the tests."""
    return "PYTEST_XDIST_WORKER" in os.environ


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Caches of the tests are theirs alone, and one for all workers of pytest-xdist."""
    patch = pytest.MonkeyPatch()
    own = tmp_path_factory.getbasetemp()
    patch.setenv("GAN_ZOO_CACHE", str((own.parent if is_xdist_worker() else own) / "cache"))
    patch.setenv("WANDB_MODE", "offline")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))


@pytest.fixture
def composed(tmp_path: Path) -> Callable[..., DictConfig]:
    """Composes the config as the command line would, with a run folder of the test's own."""

    def make(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", [f"run_dir={tmp_path / 'run'}", "trainer=cpu", *overrides])

    return make


@pytest.fixture
def tiny(composed: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """A config that trains in a moment: no images, scores, checkpoints or logs."""

    def make(*overrides: str) -> DictConfig:
        return composed(
            "callbacks=none", "logger=none", "metric=none", "data.batch_size=8", *overrides
        )

    return make


@pytest.fixture
def shared_data() -> Path:
    """The folder of real images beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real images at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def trained(composed, tmp_path: Path) -> Callable[..., Path]:
    """Trains afresh for two steps and returns the run folder."""

    def make(*overrides: str) -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        train(composed(*QUICK_RUN, *overrides))
        return tmp_path / "run"

    return make
