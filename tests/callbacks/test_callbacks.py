"""Images, scores and checkpoints leave training as it was; the best and the last state are kept."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Timer
from PIL import Image

from gan_zoo.callbacks.evaluation import Evaluation
from gan_zoo.callbacks.progress import share_done
from gan_zoo.config.build import build
from gan_zoo.core.errors import TrainingDiverged
from gan_zoo.data.image_tensors import grid_of
from gan_zoo.launch.train import train
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.clock import Clock
from gan_zoo.training.requests import rows_of_classes
from gan_zoo.training.scoring import evaluate_generator
from gan_zoo.training.trainer import AtomicCheckpointIO
from gan_zoo.visualization.image_grid import LINE, side_by_side

QUICK = ("trainer.max_steps=8", "trainer.log_every_n_steps=2", "data.batch_size=8")
OFTEN = ("callbacks.samples.every_images=16", "callbacks.evaluation.every_images=24")
OFTEN += (
    "callbacks.checkpoints.every_images=16",
    "callbacks.evaluation.num_samples=64",
    "extractor.image_size=32",
)


def last(folder: Path) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("loss", [pytest.param("nonsaturating", marks=pytest.mark.slow), "wgan_gp"])
def test_looking_does_not_change_what_is_looked_at(loss: str, composed, tmp_path: Path) -> None:
    watched = composed("data=digits", f"loss={loss}", *QUICK, *OFTEN)
    blind = composed(
        "data=digits", f"loss={loss}", *QUICK, "callbacks=none", "metric=none", "logger=none"
    )
    states = []
    for config in (watched, blind):
        trainer, module, data = build(config)
        trainer.fit(module, datamodule=data)
        states.append(module.state_dict())
        assert module.model.training
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_best_score_is_the_best_checkpoint(composed, tmp_path: Path) -> None:
    trainer, module, data = build(
        composed(
            "model=gan", "data=ring", *QUICK, *OFTEN[:3], "callbacks.evaluation.num_samples=200"
        )
    )
    trainer.fit(module, datamodule=data)
    (evaluation,) = [callback for callback in trainer.callbacks if isinstance(callback, Evaluation)]
    assert [entry["step"] for entry in evaluation.history] == [3, 6, 8]
    best = min(evaluation.history, key=lambda entry: entry["val/reverse_kl"])
    saved = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["global_step"] == best["step"]
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written["history"] == evaluation.history
    values = {f"val/{entry['name']}": entry["value"] for entry in written["metrics"]}
    assert values.items() <= evaluation.history[-1].items()


def test_scores_of_a_checkpoint_are_the_scores_of_the_run(composed, tmp_path: Path) -> None:
    config = composed(
        "model=gan",
        "data=ring",
        *QUICK,
        "callbacks.evaluation.num_samples=200",
        "callbacks.samples=null",
    )
    scores = train(config)
    trainer, module, data = build(config)
    module.load_state_dict(last(tmp_path / "run")["state_dict"])
    (evaluation,) = [callback for callback in trainer.callbacks if isinstance(callback, Evaluation)]
    again = {
        f"val/{s.name}": s.value
        for s in evaluate_generator(module, data.source, evaluation.evaluators, config.seed)
    }
    assert again == pytest.approx(scores, rel=1e-6)


@pytest.mark.parametrize(
    ("data", "size"), [("digits", (8 * 10 + 2, 8 * 10 + 2)), ("ring", (512, 512))]
)
def test_images_show_the_fixed_latents(
    data: str, size: tuple[int, int], composed, tmp_path: Path
) -> None:
    train(composed("model=gan", f"data={data}", *QUICK, *OFTEN[:1], "metric=none"))
    run = RunFolder(tmp_path / "run")
    images = run.sample_grids()
    assert [int(image.stem) for image in images] == [16, 32, 48, 64]
    assert all(Image.open(image).size == size for image in images)
    if data == "ring":
        assert not run.real_grid_path.exists()
    else:
        assert Image.open(run.real_grid_path).size == size


def test_real_samples_stand_in_the_columns_of_their_classes() -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 1])
    rows = rows_of_classes(labels, [0, 1, 2, 0, 1, 2, 0], torch.arange(7) + 10)
    assert rows.tolist() == [1, 2, 0, 3, 5, 4, 16], "a class without more samples has any"


def test_a_grid_is_about_square_and_in_range() -> None:
    grid = grid_of(torch.full((9, 1, 4, 4), -7.0))
    assert grid.shape == (3, 20, 20)
    assert grid.aminmax() == (0, 255)


def test_a_diverged_run_keeps_its_last_good_checkpoint_and_says_so(
    composed, tmp_path: Path, monkeypatch
) -> None:
    from gan_zoo.losses.hinge import Hinge

    honest, calls = Hinge.discriminator, []

    def breaks_at_the_sixth(self, real, fake):
        calls.append(1)
        return honest(self, real, fake) * (float("nan") if len(calls) >= 6 else 1.0)

    monkeypatch.setattr(Hinge, "discriminator", breaks_at_the_sixth)
    message = r"at step 6: d/realism = nan, gradient of the discriminator = nan; the last good checkpoint is .*000004.ckpt"
    with pytest.raises(TrainingDiverged, match=message):
        train(composed("model=gan", "data=ring", "loss=hinge", *QUICK, *OFTEN[2:3], "metric=none"))
    saved = last(tmp_path / "run")
    assert saved["global_step"] == 4
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())
    assert "TrainingDiverged" in (tmp_path / "run" / "FAILED.txt").read_text()
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(Exception, match=r"(?i)weights.only|unsupported"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "evil.ckpt")


def test_pauses_are_not_training(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("gan_zoo.training.clock.time.perf_counter", lambda: now[0])
    clock = Clock()
    clock.start()
    now[0] += 2
    clock.images_seen += 50
    clock.generator_steps += 1
    with clock.paused():
        now[0] += 1000
    now[0] += 3
    clock.images_seen += 50
    assert clock.seconds == pytest.approx(5)
    assert clock.images_per_second == pytest.approx(20)
    report = clock.log_values()
    assert report["train/images_seen"] == 100
    assert report["train/generator_steps"] == 1
    handlers_restored = Clock()
    handlers_restored.load_state_dict(clock.state_dict())
    assert handlers_restored.seconds == pytest.approx(5)


def test_views_stand_under_their_names() -> None:
    """Three samples in blocks of two rows: cells of 32 + 2 pixels become twice as large, so that names fit."""
    views = {"input": torch.full((3, 1, 32, 32), -1.0), "sample": torch.ones(3, 3, 32, 32)}
    image = np.asarray(side_by_side(views, rows=2)).astype(int)
    assert image.shape == (LINE + 2 * (2 * 34 + 2), 2 * 2 * (2 * 34 + 2), 3)
    cells = image[LINE + 4 + 16 :: 68, 4 + 16 :: 68][:2, :4, 0]
    assert cells.tolist() == [[0, 255, 0, 255], [0, 255, 255, 255]], (
        "black inputs beside white samples; none is fourth"
    )
    written = image[:LINE].min((0, 2)) < 255
    assert all(part.any() for part in np.split(written, [68, 140, 208])), (
        "a name above each of four columns"
    )


class Hurried(Clock):
    """A clock on which a minute has passed."""

    @property
    def seconds(self) -> float:
        return 61.0


def test_the_first_image_and_checkpoint_come_within_a_minute(
    composed, tmp_path: Path, monkeypatch
) -> None:
    """However long the run is; after that at a tenth and a fifth of it."""
    monkeypatch.setattr("gan_zoo.training.module.Clock", Hurried)
    trainer, module, data = build(
        composed("model=gan", "data=ring", "metric=none", "data.batch_size=8", "logger=none")
    )
    seen: dict[str, list[int]] = {"images": [], "checkpoints": []}

    def stopped_at_5(*_: object) -> None:
        seen["images"].append(len(RunFolder(tmp_path / "run").sample_grids()))
        seen["checkpoints"].append(
            len(list((tmp_path / "run" / "checkpoints").glob("step-*.ckpt")))
        )
        trainer.should_stop = module.global_step == 5

    last_callback = trainer.callbacks[-1]
    monkeypatch.setattr(last_callback, "on_train_batch_start", stopped_at_5)
    trainer.fit(module, datamodule=data)
    assert seen["images"][:5] == [0, 1, 1, 1, 1]
    assert seen["checkpoints"][:5] == [0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("max_steps", "step", "max_time", "seconds", "share"),
    [
        (100, 25, None, 0, 0.25),
        (100, 25, timedelta(seconds=60), 45, 0.75),
        (100, 90, timedelta(seconds=60), 6, 0.9),
        (-1, 25, timedelta(seconds=60), 15, 0.25),
        (-1, 25, None, 0, None),
    ],
)
def test_progress_is_in_steps_or_in_time(max_steps, step, max_time, seconds, share) -> None:
    timer = Timer(duration=max_time)
    timer._offset = seconds
    trainer = SimpleNamespace(callbacks=[timer], global_step=step, max_steps=max_steps)
    assert share_done(trainer) == (share if share is None else pytest.approx(share))  # type: ignore[arg-type]
