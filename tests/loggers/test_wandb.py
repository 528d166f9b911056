"""What Weights & Biases is told: axes, the best value of metrics, findings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.loggers import WandbLogger

from gan_zoo.loggers.dispatch import log, log_directions, log_finding
from gan_zoo.runs.overrides import describe_overrides


class Recorder:
    """In the place of wandb's run."""

    def __init__(self) -> None:
        self.defined: dict[str, dict[str, Any]] = {}
        self.rows: list[dict[str, float]] = []
        self.alerts: list[tuple[str, str]] = []
        self.tags: tuple[str, ...] = ("mine",)

    def define_metric(self, name: str, **options: Any) -> None:
        self.defined[name] = options

    def log(self, row: dict[str, float], step: int | None = None) -> None:
        self.rows.append(row)

    def alert(self, title: str, text: str) -> None:
        self.alerts.append((title, text))


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


def test_a_finding_is_an_alert_and_a_tag(trainer) -> None:
    made, run = trainer
    log_finding(made, "collapse", "collapse: try loss=rpgan")
    log_finding(made, "collapse", "collapse: try loss=rpgan")
    assert run.alerts == [("collapse", "collapse: try loss=rpgan")] * 2
    assert run.tags == ("mine", "collapse")


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
    assert describe_overrides("a", ["augment.p=0." + "1" * 200], 12).endswith("1-s12")
