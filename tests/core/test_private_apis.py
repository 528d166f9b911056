"""What is used of libraries although it is not public: an upgrade that takes it away fails here, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.core.utils import JobReturn
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from torch import nn

SRC = Path(__file__).parents[2] / "src" / "gan_zoo"

USED = {
    "_foreach_lerp_": (torch, "training/ema.py"),
    "_foreach_copy_": (torch, "training/ema.py"),
    "_foreach_norm": (torch, "training/gradients.py"),
    "_foreach_sub": (torch, "callbacks/diagnostics.py"),
    "_foreach_clamp_min_": (torch, "regularizers/weight_clip.py"),
    "_foreach_clamp_max_": (torch, "regularizers/weight_clip.py"),
    "_ConvNd": (nn.modules.conv, "regularizers/orthogonal.py"),
    "_apply": (nn.Module, "auxiliary_losses/perceptual.py"),
    "_check_log_dir_exists": (ExperimentWriter, "loggers/csv.py"),
    "_rewrite_with_new_header": (ExperimentWriter, "loggers/csv.py"),
}


@pytest.mark.parametrize("name", USED)
def test_it_is_there_and_used(name: str) -> None:
    owner, file = USED[name]
    assert hasattr(owner, name), f"{file} uses {owner.__name__}.{name}"
    assert name in (SRC / file).read_text(encoding="utf-8"), "this line can go"


def test_fused_convolutions_fall_back_where_the_operators_are_missing() -> None:
    assert hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    assert hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")


def test_attributes_of_lightnings_objects(tmp_path: Path) -> None:
    """``_trainer`` is None before training, where ``trainer`` raises; loggers start lazily."""
    assert LightningModule()._trainer is None
    assert CSVLogger(tmp_path)._experiment is None
    wandb = WandbLogger(save_dir=tmp_path, offline=True, anonymous=None)
    assert wandb._experiment is None
    assert wandb._log_model is False
    assert isinstance(wandb._wandb_init, dict)
    writer = ExperimentWriter(str(tmp_path / "log"))
    assert writer.metrics_keys == []
    assert writer.metrics_file_path.endswith("metrics.csv")


def test_a_trial_can_be_taken_up_again_by_its_number() -> None:
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study()
    asked = study.ask()
    (frozen,) = study.get_trials()
    assert optuna.trial.Trial(study, frozen._trial_id).number == asked.number


def test_what_a_launcher_returns_to_hydra() -> None:
    assert JobReturn(_return_value=3)._return_value == 3
