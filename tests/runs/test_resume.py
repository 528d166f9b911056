"""A run that goes on is the run that never stopped."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

import gan_zoo.callbacks.evaluation as evaluation
from gan_zoo.config.allowlist import check_targets
from gan_zoo.config.build import build
from gan_zoo.config.resume_overrides import expand_resume
from gan_zoo.core.errors import ConfigError, Interrupted, TrainingDiverged
from gan_zoo.core.paths import CONF
from gan_zoo.core.signals import SIGNALS
from gan_zoo.core.types import Batch
from gan_zoo.inference.load import load_run
from gan_zoo.launch.train import train
from gan_zoo.loggers.csv import truncate_csv
from gan_zoo.loggers.wandb import wandb_logger
from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import (
    absolute,
    override_key,
    quote_value,
    recorded_overrides,
    unquote_value,
    with_absolute_values,
)
from tests import processes
from tests.launch.test_main import run_folders

QUICK = (
    "trainer.log_every_n_steps=2",
    "data.batch_size=8",
    "callbacks.progress=null",
    "callbacks.samples=null",
)
OFTEN = (
    "callbacks.checkpoints.every_images=16",
    "callbacks.evaluation.every_images=24",
    "data=digits",
)
OFTEN += ("callbacks.evaluation.num_samples=64", "extractor.image_size=32")
OFTEN += ("generator.width=16", "discriminator.width=16")

PRESETS = {
    "dcgan": ("data=digits", "regularizer=[r1,lecam]", "augment=ada"),
    "wgan_gp": ("data=digits", "loss=wgan_gp"),
    "fisher": ("model=gan", "data=ring", "loss=fisher"),
    "cyclegan": (
        "model=cyclegan",
        "generator.width=8",
        "generator.blocks=1",
        "discriminator.width=8",
    ),
    "ctgan": ("model=ctgan", "loss=wgan_gp", "data.bundled=iris", "generator.widths=[8]", "pack=2"),
}
PRESETS["cyclegan"] += (
    "model.pool_size=5",
    "data.image_size=32",
    "data.batch_size=4",
    "callbacks.samples=null",
)


NARROW = ("generator.width=8", "discriminator.width=8")
MORE = {
    "began": ("data=digits", "loss=began"),
    "infogan": ("model=infogan", "data=digits"),
    "vae_gan": ("model=vae_gan", "data=digits"),
    "cgan": ("model=cgan", "data=digits"),
    "sngan": ("model=sngan", "data=digits", "generator.width=8", "discriminator.width=8"),
    "gan": ("model=gan", "data=digits"),
    "sagan": ("model=sagan", "data=openmoji", "data.image_size=32", *NARROW),
    "r3gan": (
        "model=r3gan",
        "data=digits",
        "data.image_size=32",
        "generator.width=16",
        "discriminator.width=16",
    ),
    "stylegan2": (
        *("model=stylegan2", "data=digits", "model.latent_dim=8", "generator.style_dim=8"),
        *("regularizer.r1.every=3", "regularizer.path_length.every=2", *NARROW),
    ),
    "cgan_single": ("model=cgan_single", "data=digits", *NARROW),
    "acgan": ("model=acgan", "data=digits", *NARROW),
    "feature_matching": ("model=feature_matching", "data=digits", *NARROW),
    "vae": ("model=vae", "data=digits"),
    "pix2pix": (
        "model=pix2pix",
        "data.image_size=32",
        "generator.width=8",
        "discriminator.width=8",
    ),
    "sngan with a lazy penalty": (
        "model=sngan",
        "data=digits",
        "regularizer=[r1]",
        "regularizer.r1.every=3",
        *NARROW,
    ),
    "packed": ("data=digits", "pack=2", *NARROW),
    "fading noise": ("data=digits", "augment=instance_noise", *NARROW),
    "loss_sensitive": ("model=gan", "data=ring", "loss=loss_sensitive"),
}


def same(a: object, b: object, where: str = "") -> None:
    """Raise unless two checkpoints hold the same bits, whatever the time it took."""
    if isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor), where
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert isinstance(b, dict), where
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for number, pair in enumerate(zip(a, b, strict=True)):
            same(*pair, f"{where}/{number}")
    else:
        assert a == b, where


def bits_of(folder: Path) -> dict:
    """What a run's last checkpoint holds, but for the time it took and where it is."""
    saved = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    counts = {key: value for key, value in saved["gan_zoo"]["clock"].items() if key != "seconds"}
    kept = {
        key: saved[key]
        for key in ("state_dict", "optimizer_states", "callbacks", "global_step", "loops")
    }
    return kept | {"clock": counts, "lr_scale": saved["gan_zoo"]["lr_scale"]}


def interrupted(config: DictConfig, step: int) -> None:
    """Train as if SIGTERM came during ``step``."""
    trainer, module, data = build(config)
    train_step = module.training_step

    def training_step(batch: Batch, batch_idx: int) -> None:
        train_step(batch, batch_idx)
        if module.global_step == step:
            SIGNALS.pending = 15

    module.training_step = training_step
    with SIGNALS.handlers_restored(), pytest.raises(Interrupted):
        trainer.fit(module, datamodule=data)


@pytest.mark.parametrize(
    "name", [*PRESETS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_a_resumed_run_equals_the_uninterrupted_one(name: str, composed, tmp_path: Path) -> None:
    def config(folder: str, *more: str) -> DictConfig:
        quiet = ("metric=none", "logger=none", "trainer=cpu", f"run_dir={tmp_path / folder}")
        return composed(*QUICK, *(PRESETS | MORE)[name], *quiet, "trainer.max_steps=10", *more)

    train(config("whole"))
    interrupted(config("half"), 5)
    train(config("rest", f"resume={tmp_path / 'half'}"))
    same(bits_of(tmp_path / "whole"), bits_of(tmp_path / "rest"))


def test_scores_log_and_best_checkpoint_go_on_too(composed, tmp_path: Path) -> None:
    """Interrupted where an evaluation, a checkpoint and a report fall on different steps, and resumed in its folder."""

    def config(folder: str, *more: str) -> DictConfig:
        return composed(
            *QUICK, *OFTEN, f"run_dir={tmp_path / folder}", "trainer.max_steps=13", *more
        )

    train(config("whole"))

    interrupted(config("half"), 7)
    train(config("half", "resume=auto"))
    same(bits_of(tmp_path / "whole"), bits_of(tmp_path / "half"))
    assert (
        RunFolder(tmp_path / "whole").checkpoints.best
        == RunFolder(tmp_path / "half").checkpoints.best
    )
    rows = [
        list(csv.DictReader((tmp_path / run / "metrics.csv").open())) for run in ("whole", "half")
    ]
    timeless = [
        [{k: v for k, v in row.items() if "per_second" not in k} for row in found] for found in rows
    ]
    assert timeless[0] == timeless[1]
    scores = [
        json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("whole", "half")
    ]
    assert scores[0]["history"] == scores[1]["history"]
    assert len(scores[0]["history"]) == 5


@pytest.mark.parametrize("at", ["in between", pytest.param("at the end", marks=pytest.mark.slow)])
def test_an_evaluation_that_was_interrupted_is_made_up_for(
    at: str, composed, tmp_path: Path, monkeypatch
) -> None:
    def config(folder: str, *more: str) -> DictConfig:
        return composed(
            *QUICK, *OFTEN, f"run_dir={tmp_path / folder}", "trainer.max_steps=8", *more
        )

    train(config("whole"))
    honest, calls = evaluation.evaluate_generator, []

    def cut_off(*args: object) -> list:
        calls.append(1)
        if len(calls) == (2 if at == "in between" else 3):
            raise Interrupted(15)
        return honest(*args)

    monkeypatch.setattr(evaluation, "evaluate_generator", cut_off)
    with pytest.raises(Interrupted):
        train(config("cut"))
    train(config("cut", "resume=auto"))
    histories = [
        json.loads((tmp_path / run / "metrics.json").read_text())["history"]
        for run in ("whole", "cut")
    ]
    assert histories[0] == histories[1]
    assert [entry["step"] for entry in histories[1]] == [3, 6, 8]
    assert (
        RunFolder(tmp_path / "whole").checkpoints.best
        == RunFolder(tmp_path / "cut").checkpoints.best
    )
    assert (
        bits_of(tmp_path / "whole")["state_dict"].keys()
        == bits_of(tmp_path / "cut")["state_dict"].keys()
    )
    same(bits_of(tmp_path / "whole")["state_dict"], bits_of(tmp_path / "cut")["state_dict"])


def test_resuming_with_another_config_is_refused(composed, tmp_path: Path) -> None:
    quiet = (*QUICK, "metric=none", "logger=none", "trainer.max_steps=6")
    train(composed("model=gan", "data=ring", *quiet))
    run = tmp_path / "run"
    resume = ("model=gan", "data=ring", *quiet, f"resume={run}")
    before = (run / "checkpoints" / "manifest.json").read_text()
    train(composed(*resume, "trainer.max_steps=8", f"run_dir={tmp_path / 'longer'}"))
    for change, message in {
        "generator.width=32": "generator.width was 256, is 32",
        "loss=hinge": "loss.adversarial._target_ was gan_zoo.losses.minimax.NonSaturating, is",
        "regularizer=r1": "regularizer.r1 was None",
        "data.batch_size=16": "data.batch_size was 8, is 16",
        "optim.generator.lr=1": "optim.generator.lr was 0.001, is 1",
    }.items():
        with pytest.raises(ConfigError, match=message):
            train(composed(*resume, change))
    with pytest.raises(
        ConfigError, match=r"run has checkpoints already: go on from them with resume=auto, or"
    ):
        train(composed("model=gan", "data=ring", *quiet))
    assert (run / "checkpoints" / "manifest.json").read_text() == before


def test_a_checkpoint_that_would_run_code_is_refused_by_name(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, ("touch harm",)

    torch.save({"gan_zoo": Evil(), "state_dict": {}}, tmp_path / "evil.ckpt")
    with pytest.raises(
        ConfigError, match=r"evil.ckpt is refused: it would run posix.system when opened"
    ):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not Path("harm").exists()


# ---------------------------------------------------------------- the command line


def recorded_run(folder: Path, overrides: list[str]) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    return folder


def test_resume_brings_the_runs_own_overrides_along(tmp_path: Path) -> None:
    run = recorded_run(
        tmp_path / "a run's",
        ["model=gan", "+loss.x=1", "trainer.max_steps=5", "resume=auto", "seed=3"],
    )
    place = "hydra.run.dir='" + str(run).replace("'", "\\'") + "'"
    given = [f"resume={run}", "trainer.max_steps=9"]
    clean = [f"resume={quote_value(run)}", "trainer.max_steps=9"]
    assert expand_resume(given) == ["model=gan", "+loss.x=1", "seed=3", *clean, place]
    assert expand_resume(expand_resume(given)) == expand_resume(given), (
        "further processes are started with the expanded command"
    )
    with_flags = expand_resume(["--config-dir", "own", f"resume={run}", "seed=3", "-m"])
    assert with_flags[:3] == ["--config-dir", "own", "-m"], "argparse takes overrides in one piece"
    assert with_flags[3:5] == ["model=gan", "+loss.x=1"]
    assert expand_resume(["model=gan"]) == ["model=gan"]
    assert expand_resume(["model=gan", "resume=null"]) == ["model=gan", "resume=null"]
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "step-000000001.ckpt").touch()
    assert place in expand_resume([f"resume={run}/checkpoints/step-000000001.ckpt"])
    assert "hydra.run.dir=b" in expand_resume([f"resume={run}", "hydra.run.dir=b"])
    with pytest.raises(ConfigError, match="got 'nowhere', which does not exist"):
        expand_resume(["resume=nowhere"])


def test_auto_finds_the_newest_run_of_the_same_command(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = ["model=gan", "seed=1"]
    for number, overrides in enumerate([mine, [*mine, "resume=auto"], ["model=gan", "seed=2"]]):
        run = recorded_run(Path("outputs/gan") / str(number), overrides)
        os.utime(run / ".hydra" / "overrides.yaml", (number, number))
    recorded_run(Path("outputs/gan/9"), ["experiment=../elsewhere"])
    assert expand_resume([*mine, "resume=auto"])[-1] == "hydra.run.dir='outputs/gan/1'"
    assert expand_resume(["model=dcgan", "resume=auto"]) == ["model=dcgan", "resume=auto"]
    assert expand_resume(["-m", *mine, "resume=auto"]) == ["-m", *mine, "resume=auto"]


@pytest.mark.parametrize(
    "content", ["- model=gan\n- --config-dir=/tmp\n", "model: gan\n", "- [1]\n", "a: [", "- ''\n"]
)
def test_a_record_that_is_no_list_of_overrides_is_refused(content: str, tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", [])
    (run / ".hydra" / "overrides.yaml").write_text(content)
    with pytest.raises(
        ConfigError, match=r"overrides.yaml (must be a list of overrides|cannot be read)"
    ):
        recorded_overrides(RunFolder(run))


HOSTILE = (
    "experiment=../../../../tmp/x",
    "model=/tmp/x",
    "+callbacks@hydra.callbacks=default",
    "loss=x:hinge",
)
HOSTILE += ("../../tmp/x=y", "+model@_global_.hydra.callbacks=gan")


@pytest.mark.parametrize("override", HOSTILE)
def test_a_record_that_reaches_for_other_files_is_refused(override: str, tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", ["model=gan", override])
    with pytest.raises(
        ConfigError, match=r"is refused: .* reaches for other files|must be a list of overrides"
    ):
        recorded_overrides(RunFolder(run))


PATHS = ("a b", "a=b", "a,b", "it's", "a\\b", "a\\", "[x]", "{y}", "ü", "${oc.env:HOME}", "a\\'b")


@pytest.mark.parametrize("name", PATHS)
def test_any_path_passes_through_hydra(name: str) -> None:
    text = f"k={quote_value(Path(name))}"
    (override,) = OverridesParser.create().parse_overrides([text])
    assert OmegaConf.create({"k": override.value()}).k == name
    assert unquote_value(quote_value(Path(name))) == unquote_value(name) == name


def test_a_path_is_found_from_any_folder_and_a_url_stays_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("s3://bucket/packed/", "hf://datasets/user/name", "file:///x"):
        assert absolute(url) == url
        assert with_absolute_values([f"data.test_root={url}"]) == [f"data.test_root='{url}'"]
    assert absolute("x/../packed") == str(tmp_path / "packed")
    assert absolute("local:packed") == f"local:{tmp_path / 'packed'}"
    assert with_absolute_values(["data.root=a"]) == [f"data.root='{tmp_path / 'a'}'"]


@pytest.mark.parametrize("evil", ["${evil}", '${oc.create:"{_target_: shutil.copyfile}"}'])
def test_a_config_that_would_be_resolved_once_more_is_refused(
    evil: str, composed, tmp_path: Path
) -> None:
    train(composed("model=gan", "data=ring", "metric=none", "trainer.max_steps=1", *QUICK))
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    saved["gan_zoo"]["config"]["loss"]["adversarial"] = evil
    saved["gan_zoo"]["config"]["evil"] = {"_target_": "shutil.copyfile", "src": "a", "dst": "b"}
    torch.save(saved, tmp_path / "evil.ckpt")
    with pytest.raises(ConfigError, match="is refused: it would be resolved once more"):
        load_run(tmp_path / "evil.ckpt")
    with pytest.raises(ConfigError, match="is refused: it would be resolved once more"):
        check_targets({"_target_": "gan_zoo.losses.hinge.Hinge", "x": evil}, CONF, "")


def test_a_run_that_is_there_is_not_overwritten_by_another(
    composed, tmp_path: Path, monkeypatch
) -> None:
    quiet = ("model=gan", "data=ring", "metric=none", "logger=none", "trainer.max_steps=2", *QUICK)
    for run in ("a", "b"):
        train(composed(*quiet, f"run_dir={tmp_path / run}"))
    with pytest.raises(ConfigError, match=r"b has checkpoints already: go on from them"):
        train(composed(*quiet, f"run_dir={tmp_path / 'b'}", f"resume={tmp_path / 'a'}"))
    monkeypatch.chdir(tmp_path / "a" / "checkpoints")
    train(composed(*quiet, f"run_dir={tmp_path / 'c'}", "resume=last.ckpt", "trainer.max_steps=3"))
    assert read_checkpoint(tmp_path / "c" / "checkpoints" / "last.ckpt")["global_step"] == 3


def test_what_an_override_overrides() -> None:
    assert [override_key(o) for o in ("a.b=1", "+a=x=y", "~a", "++regularizer@loss.r=r1")] == [
        *("a.b", "a", "a"),
        "regularizer@loss.r",
    ]


def test_a_runs_config_is_not_trusted_with_code(tmp_path: Path) -> None:
    common = ("model=gan", "data=ring", "metric=none", "trainer.max_steps=4", *QUICK)
    assert processes.train(*common, cwd=tmp_path).returncode == 0
    (run,) = run_folders(tmp_path)
    record = run / ".hydra" / "overrides.yaml"
    honest = record.read_text()
    record.write_text(honest + "- +callbacks.evil={_target_:os.mkdir,path:harm}\n")
    done = processes.train(f"resume={run}", "trainer.max_steps=6", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        "error: the run's config would run 'os.mkdir', which is not part of gan_zoo: add trust=true"
        in done.stderr
    )
    assert not (tmp_path / "harm").exists()
    record.write_text(honest)
    done = processes.train(f"resume={run}", "trainer.max_steps=6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 6
    assert "trainer.max_steps=6" in recorded_overrides(RunFolder(run))
    refused = processes.train(f"resume={run}", "loss=hinge", cwd=tmp_path)
    assert refused.returncode == 1
    assert "cannot be continued with another config" in refused.stderr
    assert "loss=hinge" not in recorded_overrides(RunFolder(run)), (
        "a command that was refused leaves no trace in the run"
    )


# -------------------------------------------------------------------- divergence


def test_divergence_can_go_back_and_slow_down(
    composed, tmp_path: Path, monkeypatch, capsys
) -> None:
    from gan_zoo.losses.hinge import Hinge

    honest, calls = Hinge.discriminator, []

    def breaks_at_the_sixth(self, real, fake):
        calls.append(1)
        return honest(self, real, fake) * (float("inf") if len(calls) in (6, 9) else 1.0)

    monkeypatch.setattr(Hinge, "discriminator", breaks_at_the_sixth)
    retrying = (
        "divergence.retries=2",
        "callbacks.checkpoints.every_images=16",
        "trainer.max_steps=8",
    )
    train(composed("model=gan", "data=ring", "loss=hinge", *QUICK, *retrying, "metric=none"))
    saved = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert saved["gan_zoo"]["lr_scale"] == 0.25
    assert {
        group["lr"] for state in saved["optimizer_states"] for group in state["param_groups"]
    } == {0.001 / 4}
    said = capsys.readouterr().err
    assert "going back to" in said
    assert "step-000000004.ckpt, learning rates times 0.5" in said
    assert "learning rates times 0.25" in said
    calls[:] = []
    elsewhere = f"run_dir={tmp_path / 'other'}"
    with pytest.raises(
        TrainingDiverged, match=r"at step 6: d/realism = .*; the last good checkpoint is"
    ):
        train(
            composed(
                "model=gan",
                "data=ring",
                "loss=hinge",
                *QUICK,
                *retrying[1:],
                "metric=none",
                elsewhere,
            )
        )


@pytest.mark.parametrize(
    "change", [("retries", -1), ("retries", 1.5), ("factor", 1), ("factor", "half")]
)
def test_what_divergence_may_say(change: tuple, composed) -> None:
    with pytest.raises(ConfigError, match=rf"divergence.{change[0]} must be .*, got {change[1]!r}"):
        train(composed("model=gan", "data=ring", f"divergence.{change[0]}={change[1]}"))


def test_a_resumed_run_keeps_its_id_in_wandb(tmp_path: Path) -> None:
    for folder in ("offline-run-20261121_101500-first111", "run-20261121_101010-first111"):
        (tmp_path / "begun" / "wandb" / folder).mkdir(parents=True)
    fresh, begun = (
        wandb_logger(str(tmp_path / run), "zoo", offline=False)._wandb_init
        for run in ("new", "begun")
    )
    assert (fresh["id"], begun["id"]) == (None, "first111")
    assert begun["resume"] == "allow"


def test_half_a_row_is_not_a_row(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("d/x,step,z\n1,2,3\n1,4,3\n1,12,3\n1,1")
    truncate_csv(path, 4)
    assert path.read_text().splitlines() == ["d/x,step,z", "1,2,3", "1,4,3"]
