"""What Weights & Biases is told: axes, the best value of metrics, findings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.loggers import WandbLogger

from gan_zoo.loggers.dispatch import (
    log,
    log_checkpoints,
    log_data,
    log_directions,
    log_finding,
)
from gan_zoo.loggers.wandb import finished_run
from gan_zoo.runs.overrides import describe_overrides, describe_setting


class Recorder:
    """In the place of wandb's run."""

    def __init__(self) -> None:
        self.defined: dict[str, dict[str, Any]] = {}
        self.rows: list[dict[str, float]] = []
        self.alerts: list[tuple[str, str]] = []
        self.tags: tuple[str, ...] = ("mine",)
        self.id = "abc"
        self.offline = False
        self.used: list[Any] = []
        self.artifacts: list[tuple[Any, list[str]]] = []

    def define_metric(self, name: str, **options: Any) -> None:
        self.defined[name] = options

    def log(self, row: dict[str, float], step: int | None = None) -> None:
        self.rows.append(row)

    def alert(self, title: str, text: str) -> None:
        self.alerts.append((title, text))

    def use_artifact(self, artifact: Any) -> None:
        self.used.append(artifact)

    def log_artifact(self, artifact: Any, aliases: list[str]) -> None:
        self.artifacts.append((artifact, aliases))


@pytest.fixture
def trainer() -> tuple[Any, Recorder]:
    run = Recorder()
    logger = WandbLogger.__new__(WandbLogger)
    logger._experiment, logger._prefix = run, ""
    logger.log_metrics = lambda row, step: run.log(row)  # type: ignore[method-assign]
    module = SimpleNamespace(clock=SimpleNamespace(images_seen=640))
    made = SimpleNamespace(
        loggers=[logger], lightning_module=module, callback_metrics={}, global_step=10
    )
    return made, run


def test_numbers_are_drawn_over_the_images_seen(trainer) -> None:
    made, run = trainer
    log_directions(made, {"val/fd": "min", "val/modes": "max"})
    assert run.defined["d/*"] == run.defined["val/*"] == {"step_metric": "train/images_seen"}
    assert run.defined["val/fd"]["summary"] == "min,last"
    assert run.defined["val/modes"]["summary"] == "max,last"
    log(made, {"val/fd": 3.0}, 10)
    assert run.rows == [{"train/images_seen": 640.0, "val/fd": 3.0}]


def test_a_finding_is_an_alert_and_a_tag_and_a_row(trainer) -> None:
    made, run = trainer
    first, second = (640, "collapse", "try loss=rpgan"), (1280, "explosion", "try less")
    log_finding(made, [first])
    log_finding(made, [first, second])
    assert run.alerts == [("collapse", "try loss=rpgan"), ("explosion", "try less")]
    assert run.tags == ("mine", "collapse", "explosion")
    table = run.rows[-1]["doctor/findings"]
    assert table.columns == ["images seen", "finding", "text"]
    assert table.data == [list(first), list(second)]


def test_checkpoints_are_versions_of_one_model_made_from_named_data(
    trainer, tmp_path: Path
) -> None:
    made, run = trainer
    logger = made.loggers[0]
    logger._log_model = True
    log_data(made, {"name": "my digits", "fingerprint": "f00", "root": "/home/me"})
    (data,) = run.used
    about = {"name": "my digits", "fingerprint": "f00"}
    assert (data.name, data.type, data.metadata) == ("my_digits", "dataset", about)
    assert list(data.manifest.entries) == ["data.json"]

    for name in ("best", "last"):
        (tmp_path / f"{name}.ckpt").write_text(name)
    log_checkpoints(made, [tmp_path / "best.ckpt", tmp_path / "last.ckpt"])
    versions = [(artifact.name, artifact.type, aliases) for artifact, aliases in run.artifacts]
    assert versions == [("model-abc", "model", ["best"]), ("model-abc", "model", ["last"])]

    # Without leave to upload models nothing is uploaded.
    run.offline = True
    log_data(made, about)
    logger._log_model = False
    log_data(made, about)
    log_checkpoints(made, [tmp_path / "best.ckpt"])
    assert (len(run.used), len(run.artifacts)) == (1, 2)


@pytest.mark.parametrize(
    ("folder", "key", "options"),
    [
        ("offline-run-20261130_120000-abc", "k", {}),
        ("run-20261130_120000-abc", "", {}),
        ("run-20261130_120000-abc", "k", {"offline": True}),
        (None, "k", {}),
    ],
)
def test_nothing_is_added_to_runs_that_are_not_online(
    folder: str | None, key: str, options: dict, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("HOME", str(tmp_path))
    if folder is not None:
        (tmp_path / "wandb" / folder).mkdir(parents=True)
    with finished_run(tmp_path, {"project": "p"} | options) as run:
        assert run is None


def test_the_directions_are_those_of_the_metrics(composed) -> None:
    from gan_zoo.config.build import build
    from gan_zoo.launch.train import metric_directions

    trainer, _, _ = build(composed("data=ring", "model=gan", "logger=none"))
    assert metric_directions(trainer) == {"val/reverse_kl": "min"}


def test_runs_are_named_by_what_is_trained() -> None:
    overrides = [
        *("model=dcgan", "loss=hinge", "generator.width=64", "regularizer=[r1,r2]", "seed=3"),
        *("regularizer.r1.gamma=1", "trainer.max_steps=5", "callbacks.samples=null"),
        *("data.root=/home/me/x", "+model.temperature=2", "logger=wandb", "hydra.run.dir=a"),
    ]
    assert describe_overrides("dcgan-hinge-mnist", overrides, 3) == (
        "dcgan-hinge-mnist-generator.width=64-regularizer=[r1,r2]-r1.gamma=1-model.temperature=2-s3"
    )
    assert describe_setting("a", overrides).endswith(
        "-r1.gamma=1-trainer.max_steps=5-data.root=/home/me/x-model.temperature=2"
    )
    assert describe_overrides("a", ["augment.p=0." + "1" * 200], 12).endswith("1-s12")
