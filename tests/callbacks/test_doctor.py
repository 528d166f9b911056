"""The doctor looks at every model, touches nothing, and goes on where a run goes on."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from gan_zoo.callbacks.diagnostics import Doctor
from gan_zoo.config.build import build
from gan_zoo.diagnostics.from_log import diagnose_run, read_history
from gan_zoo.launch.train import train
from gan_zoo.runs.folder import RunFolder

QUICK = ("trainer.max_steps=6", "trainer.log_every_n_steps=1", "data.batch_size=8", "metric=none")
OFTEN = ("callbacks.doctor.every_images=16", "callbacks.doctor.count=16")
SMALL = ("generator.width=4", "discriminator.width=4")
GAMES = {
    "dcgan": ("data=digits", *SMALL),
    "cgan": ("data=openmoji_captions", *SMALL),
    "acgan": ("data=digits", *SMALL),
    "cyclegan": (
        "generator.width=4",
        "generator.blocks=1",
        "discriminator.width=4",
        "data.image_size=16",
    ),
    "infogan": ("data=digits", *SMALL),
    "sgan": ("data=digits", "data.labeled=20", *SMALL),
    "vae": ("data=digits", "generator.width=4"),
}


def doctor_of(trainer) -> Doctor:
    (doctor,) = [callback for callback in trainer.callbacks if isinstance(callback, Doctor)]
    return doctor


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.slow) if model == "cyclegan" else model
        for model in GAMES
    ],
)
def test_it_looks_at_every_game(model: str, composed) -> None:
    extra = ("discriminator.layers=1",) if model == "cyclegan" else ()
    trainer, module, data = build(composed(f"model={model}", *GAMES[model], *QUICK, *OFTEN, *extra))
    trainer.fit(module, datamodule=data)
    history = doctor_of(trainer).history
    assert [reading["images_seen"] for reading in history] == [16, 32, 48]
    for term in (name for name in module.model.term_names if f"{name}/separation" in history[0]):
        assert {
            f"{term}/{name}" for name in ("spread", "nearest", "travel", "offset", "gap")
        } <= set(history[0])
    assert any("memory" in name for name in history[0]) == (
        data.source.held_out is not None and model != "vae"
    )
    assert 0 < history[-1]["g/moved"] < 1


def test_it_shows_packs_whole(composed) -> None:
    small = ("data=digits", *SMALL, *QUICK, *OFTEN, "pack=3", "data.batch_size=6")
    trainer, module, data = build(composed(*small, "callbacks.doctor.every_images=18"))
    trainer.fit(module, datamodule=data)
    assert len(doctor_of(trainer).history) == 2


def test_it_leaves_training_as_it_was(composed) -> None:
    states = []
    for looks in (OFTEN, ("callbacks.doctor=null",)):
        trainer, module, data = build(
            composed("data=digits", *SMALL, *QUICK, *looks, "callbacks.samples=null")
        )
        trainer.fit(module, datamodule=data)
        states.append(module.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_resumed_run_reads_what_an_uninterrupted_one_reads(composed, tmp_path: Path) -> None:
    often = (*OFTEN, "callbacks.checkpoints.every_images=16", "data=digits", *SMALL)
    full = composed(*QUICK, *often, f"run_dir={tmp_path / 'whole'}")
    train(full)
    train(composed(*QUICK, *often, f"run_dir={tmp_path / 'parts'}", "trainer.max_steps=4"))
    train(composed(*QUICK, *often, f"run_dir={tmp_path / 'parts'}", "resume=auto"))
    readings = [read_history(tmp_path / name / "metrics.csv") for name in ("whole", "parts")]
    assert len(readings[0]) == 3
    assert readings[0] == readings[1]
    assert diagnose_run(RunFolder(tmp_path / "parts")) == (readings[0], [])


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"callbacks.doctor.count must be >= 16, got 3"):
        Doctor(count=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "failure",
    ["mode collapse", "saturated discriminator", "vanishing generator gradient", "healthy"],
)
def test_a_case_of_the_study_is_named(failure: str) -> None:
    path = Path(__file__).parents[2] / "experiments" / "doctor" / "run.py"
    spec = importlib.util.spec_from_file_location("doctor_study", path)
    assert spec is not None
    assert spec.loader is not None
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    case = list(study.CASES[failure])[1 if failure in ("mode collapse", "healthy") else 0]
    named = study.found(study.train_one((failure, case, 7)))
    assert named == set() if failure == "healthy" else failure in named


def test_held_out_captions_that_are_all_alike_end_no_run(composed) -> None:
    """There are no mismatched ones among them: what needs those is left out of the diagnosis."""
    overrides = (
        "model=cgan",
        "data=openmoji_captions",
        "condition=text",
        "data.image_size=32",
        *QUICK,
        *OFTEN,
    )
    trainer, module, data = build(
        composed(*overrides, "generator.width=8", "discriminator.width=8")
    )
    alike = data.source.evaluation_split()
    alike.conditions = alike.conditions[:1].expand(len(alike), -1).contiguous()
    trainer.fit(module, datamodule=data)
    assert len(doctor_of(trainer).history) == 3
    assert not any("memory" in name for name in doctor_of(trainer).history[0])
