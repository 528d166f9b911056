"""Settings and paths as users write them: understood, or named in one line."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.strategies import DDPStrategy

from gan_zoo.callbacks.interruption import Interruption, check_equal_start
from gan_zoo.callbacks.intervals import interval
from gan_zoo.config.build import build
from gan_zoo.config.compose import check_choices, check_grammar, compose_overrides
from gan_zoo.config.messages import format_error, is_usage_error
from gan_zoo.config.resume_overrides import expand_resume
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.core.unique import unique_now
from gan_zoo.inference.load import best_device, load_run
from gan_zoo.launch.train import train
from gan_zoo.loggers.wandb import wandb_logger
from gan_zoo.metrics.base import exact_device
from gan_zoo.metrics.functional.frechet import FeatureMoments
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import with_absolute_values
from gan_zoo.training.strategy import FlatDDPStrategy
from gan_zoo.training.trainer import processes_of_torchrun, resolved_precision
from tests.data.test_files import write

RING = (
    "model=gan",
    "data=ring",
    "metric=none",
    "trainer=cpu",
    "trainer.max_steps=2",
    "data.batch_size=8",
)
RING += ("callbacks.progress=null", "callbacks.samples=null", "callbacks.doctor=null", "logger=csv")
FOLDER = ("model=gan", "data=image_folder", "data.image_size=8", "data.channels=1", *RING[2:])


# ------------------------------------------------------------------ several processes


@pytest.mark.parametrize(
    "overrides", [["trainer.devices=2"], ["trainer=ddp_cpu"], ["trainer.num_nodes=2"]]
)
def test_more_than_one_process_always_train_by_our_strategy(overrides: list[str], tiny) -> None:
    trainer, _, _ = build(tiny("model=gan", "data=ring", *overrides))
    assert trainer.world_size == 2
    assert isinstance(trainer.strategy, FlatDDPStrategy)


class OtherDDP(DDPStrategy):
    """Stands for any strategy but ours."""


def test_another_strategy_for_several_processes_is_refused(tiny) -> None:
    other = "trainer.strategy={_target_: tests.config.test_settings.OtherDDP}"
    with pytest.raises(
        ConfigError, match=r"trainer.strategy must be auto or .* for 2 processes, got OtherDDP"
    ):
        build(tiny("model=gan", "data=ring", "trainer=cpu", "trainer.devices=2", other))


def test_as_many_processes_as_torchrun_started(monkeypatch) -> None:
    assert processes_of_torchrun() == {}
    for name, value in {
        "TORCHELASTIC_RUN_ID": "x",
        "LOCAL_WORLD_SIZE": "3",
        "WORLD_SIZE": "6",
    }.items():
        monkeypatch.setenv(name, value)
    assert processes_of_torchrun() == {"devices": 3, "num_nodes": 2}


class Gathered:
    """Stands for several processes, each of which says what is given."""

    def __init__(self, *values: object) -> None:
        self.values = list(values)

    def gather(self, value: object) -> list[object]:
        return [value, *[self.values.pop(0)]]


def test_processes_start_from_one_step() -> None:
    with pytest.raises(
        ConfigError, match=r"the same state, but from steps 60, 0: every machine needs"
    ):
        check_equal_start(Gathered(0), 60, None)  # type: ignore[arg-type]


def test_processes_start_from_one_config() -> None:
    mine = {
        "run_dir": "/a/run",
        "optim": {"lr": 1.0},
        "data": {"root": "/a"},
        "callbacks": {"folder": "/a/run/x"},
    }
    theirs = {"run_dir": "", "optim": {"lr": 1.0}, "data": {}, "callbacks": {"folder": "/x"}}
    check_equal_start(Gathered(3, theirs), 3, mine)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"optim.lr is 1.0 on process 0 and 0.5 on process 1"):
        check_equal_start(Gathered(3, theirs | {"optim": {"lr": 0.5}}), 3, mine)  # type: ignore[arg-type]


# ------------------------------------------------------------------ devices and precision


@pytest.mark.parametrize(("has_bf16", "chosen"), [(True, "bf16-mixed"), (False, "32-true")])
def test_the_precision_is_what_the_card_has(
    has_bf16: bool, chosen: str, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bf16)
    assert resolved_precision("auto") == chosen
    assert f"precision: {chosen}, on a card" in capsys.readouterr().err
    assert resolved_precision("32-true") == "32-true"


def test_the_device_is_the_best_there_is(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert best_device().type == "cpu"
    for name in ("cuda:99", "gpu", "nonsense"):
        with pytest.raises(
            ConfigError, match=f"--device must be .*, got '{name}', which is not here"
        ):
            best_device(name)


def test_sums_are_kept_where_float64_exists(monkeypatch) -> None:
    """Apple's GPUs refuse float64; features come to the sums, and are made float64 there."""
    zeros = torch.zeros

    def refusing(*size, dtype=None, device=None, **options):
        if dtype == torch.float64 and str(device) == "mps":
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return zeros(*size, dtype=dtype, device=None if str(device) == "mps" else device, **options)

    monkeypatch.setattr(torch, "zeros", refusing)
    exact_device.cache_clear()
    assert exact_device(torch.device("mps")) == torch.device("cpu")
    exact_device.cache_clear()
    moved: list[str] = []

    class Elsewhere(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            moved.append(function.__name__)
            return super().__torch_function__(function, types, args, kwargs or {})

    FeatureMoments(2).update(torch.randn(3, 2).as_subclass(Elsewhere))
    assert moved.index("to") < moved.index("double")


# ------------------------------------------------------------------ names and paths


def test_runs_that_begin_in_one_second_have_folders_of_their_own() -> None:
    names = set()
    for _ in range(50):
        unique_now.cache_clear()
        names.add(unique_now())
    unique_now.cache_clear()
    assert len(names) == 50


def test_ranks_under_slurm_agree_on_a_name(monkeypatch) -> None:
    for name, value in {
        "SLURM_PROCID": "3",
        "SLURM_NTASKS": "8",
        "SLURM_JOB_ID": "77",
        "SLURM_STEP_ID": "1",
    }.items():
        monkeypatch.setenv(name, value)
    unique_now.cache_clear()
    assert unique_now() == "slurm-77-1"
    unique_now.cache_clear()


@pytest.mark.parametrize(
    "spelling", ["../runs/x", "a/../runs/x", "~/runs/x", "'runs/x'", "./runs/x/"]
)
def test_every_spelling_of_a_path_is_understood(
    spelling: str, composed, tmp_path: Path, monkeypatch
) -> None:
    run = tmp_path / "runs" / "x"
    train(composed(*RING, f"run_dir={run}"))
    (run / ".hydra").mkdir()
    (run / ".hydra" / "overrides.yaml").write_text("[model=gan]\n", encoding="utf-8")
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "a" if spelling.startswith("..") else tmp_path)
    found = expand_resume([f"resume={spelling}"])
    assert f"resume='{run}'" in found
    assert f"hydra.run.dir='{run}'" in found


def test_a_value_at_home_is_expanded(monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_resume(["hydra.run.dir=~/runs/x", "loss=hinge"]) == [
        "hydra.run.dir='/home/me/runs/x'",
        "loss=hinge",
    ]


def test_paths_to_data_are_recorded_as_they_are_found_from_anywhere(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = with_absolute_values(
        ["data.root=photos", "loss=hinge", "data.root=${oc.env:GAN_ZOO_DATA,x}"]
    )
    assert kept == [
        f"data.root='{tmp_path / 'photos'}'",
        "loss=hinge",
        "data.root=${oc.env:GAN_ZOO_DATA,x}",
    ]


@pytest.mark.parametrize(
    "value", ["a=b", "sp ace=", "#h", "~", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n(e)", "a'b\\"]
)
def test_a_value_that_needs_quotes_is_shown_with_them(value: str) -> None:
    import shlex

    with pytest.raises(ConfigError) as refused:
        check_grammar([f"data.root={value}"])
    message = str(refused.value)
    assert message.startswith(f"data.root={value} cannot be read")
    (typed,) = shlex.split(message.partition("as plain text it is ")[2])
    config = compose_overrides(["data=image_folder", typed])
    assert config.data.root == value


def test_choices_of_nothing() -> None:
    assert check_choices(["debug=null", "experiment=null", "loss=hinge"]) == ["loss=hinge"]
    for group in ("loss", "model", "data", "trainer"):
        with pytest.raises(ConfigError, match=f"{group} must be one of .*, got null"):
            check_choices([f"{group}=null"])


# ------------------------------------------------------------------ other data


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(8):
            write(tmp_path / "photos" / name / f"{number}.png", 10 * number)
    return tmp_path / "photos"


CHANGES = {
    "images deleted": (lambda root: (root / "cat" / "1.png").unlink(), "it had 16 samples"),
    "a class renamed": (
        lambda root: (root / "cat").rename(root / "zebra"),
        r"its classes were \['cat', 'dog'\]",
    ),
    "an image replaced": (
        lambda root: write(root / "cat" / "1.png", 99, (9, 9)),
        "its samples were others",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_going_on_with_other_data_is_refused(
    change: str, photos: Path, composed, tmp_path: Path
) -> None:
    command = (*FOLDER, f"data.root={photos}")
    train(composed(*command))
    alter, message = CHANGES[change]
    alter(photos)
    with pytest.raises(
        ConfigError, match=f"not what the run was trained on: {message}.*: other_data=true"
    ):
        train(composed(*command, "resume=auto", "trainer.max_steps=3"))
    loaded = load_run(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"to use it: --other-data"):
        _ = loaded.source
    assert len(load_run(tmp_path / "run", other_data=True).source) in (15, 16)
    train(composed(*command, "resume=auto", "trainer.max_steps=3", "other_data=true"))


# ------------------------------------------------------------------ going on for longer


SCHEDULED = (*RING, "optim/schedule=linear", "trainer.max_steps=8", "trainer.log_every_n_steps=1")


def test_a_longer_run_keeps_its_schedule(composed, tmp_path: Path, capsys) -> None:
    import csv

    train(composed(*SCHEDULED, "optim.schedule.final=0.1"))
    train(composed(*SCHEDULED, "optim.schedule.final=0.1", "trainer.max_steps=12", "resume=auto"))
    said = capsys.readouterr().out
    assert (
        "schedule ends at step 8 and they stay at 0.1 of the first from there; optim.horizon=12 stretches it"
        in said
    )
    with (tmp_path / "run" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rates = [float(row["lr/generator"]) for row in csv.DictReader(file) if row["lr/generator"]]
    assert len(rates) == 12
    assert rates == sorted(rates, reverse=True), "no rate jumps up"
    assert rates[-1] == pytest.approx(0.1 * rates[0])


def test_a_longer_run_whose_rates_have_come_to_nothing_is_refused(composed) -> None:
    train(composed(*SCHEDULED))
    with pytest.raises(
        ConfigError, match=r"rates of 0, so .*=12 would learn nothing: optim.horizon=12"
    ):
        train(composed(*SCHEDULED, "trainer.max_steps=12", "resume=auto"))
    train(composed(*SCHEDULED, "trainer.max_steps=12", "resume=auto", "optim.horizon=12"))


def test_a_finished_run_says_so(composed, capsys) -> None:
    train(composed(*RING))
    train(composed(*RING, "resume=auto"))
    assert (
        "is that of a finished run of 2 steps; to train on: trainer.max_steps=4"
        in capsys.readouterr().out
    )


# ------------------------------------------------------------------ the trainer's arguments


IGNORED = {
    "+trainer.overfit_batches=1": "a small data set",
    "+trainer.val_check_interval=2": "callbacks.evaluation.every_images",
    "trainer.limit_val_batches=3": "callbacks.evaluation.num_samples",
    "+trainer.enable_checkpointing=false": "callbacks.checkpoints=null",
    "+trainer.callbacks=[]": "callbacks.NAME",
    "+trainer.accumulate_grad_batches=2": "data.batch_size",
    "+trainer.gradient_clip_val=1": "optim.clip_grad_norm",
    "trainer.use_distributed_sampler=true": "the order of samples is our own",
}


@pytest.mark.parametrize("override", IGNORED)
def test_what_the_trainer_would_ignore_names_our_own_key(override: str, tiny) -> None:
    with pytest.raises(ConfigError, match=f"has no effect here, use .*{IGNORED[override]}"):
        build(tiny("model=gan", "data=ring", override))


def test_passes_over_the_data(tiny) -> None:
    trainer, _, data = build(
        tiny("model=gan", "data=digits", "data.batch_size=100", "trainer.max_epochs=2")
    )
    assert len(data.source) == 1797
    assert trainer.max_steps == 36
    for value in (0, -1, "a", 1.5):
        with pytest.raises(ConfigError, match=r"trainer.max_epochs.* must be an integer"):
            build(tiny("model=gan", "data=ring", f"trainer.max_epochs={value}"))
    with pytest.raises(ConfigError, match=r"trainer.max_steps must be >= 1, or -1"):
        build(tiny("model=gan", "data=ring", "trainer.max_steps=0"))


@pytest.mark.parametrize("model", ["dcgan", "cyclegan", "vae"])
def test_intervals_follow_the_runs_length(model: str, composed) -> None:
    """About ten images and five checkpoints a run."""
    built, _, data = build(
        composed(f"model={model}", "data.image_size=32", "metric=none", "logger=none")
    )
    trainer: Any = SimpleNamespace(
        max_steps=built.max_steps, datamodule=data
    )  # which Lightning sets when it fits
    total = trainer.max_steps * data.batch_size
    assert total // interval(trainer, None, 10) in (10, 11)
    assert total // interval(trainer, None, 5) in (5, 6)
    assert interval(trainer, 77, 10) == 77


# ------------------------------------------------------------------ Weights & Biases


def test_wandb_goes_on_under_the_whole_id(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "wandb" / "offline-run-20261126_213916-my-run-1").mkdir(parents=True)
    assert wandb_logger(str(tmp_path), "p", offline=True)._wandb_init["id"] == "my-run-1"
    monkeypatch.setenv("WANDB_RUN_ID", "another-2")
    assert wandb_logger(str(tmp_path), "p", offline=True)._wandb_init["id"] == "another-2"
    given = wandb_logger(str(tmp_path), "p", offline=True, id="mine")
    assert isinstance(given, WandbLogger)
    assert given._wandb_init["id"] == "mine"


def test_wandb_projects_have_plain_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"logger.wandb.project must not hold /, got 'me/gans'"):
        wandb_logger(str(tmp_path), "me/gans", offline=True)


def test_a_run_folder_in_brackets_is_no_markup(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "")
    run = tmp_path / "a[b]" / "c[red]"
    run.mkdir(parents=True)
    wandb_logger(str(run), "p")
    assert f"wandb sync {run}/wandb/*" in capsys.readouterr().out


# ------------------------------------------------------------------ places that cannot be written


def test_a_place_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "out"))
    assert is_usage_error(error)
    line = f"{tmp_path / 'out'}: permission denied; choose another folder, for a run with hydra.run.dir=FOLDER, "
    assert format_error(error, CONF) == line + "for results with --out"
    cached = Path(os.environ["GAN_ZOO_CACHE"]) / "images" / "x.npy"
    assert "set GAN_ZOO_CACHE to a folder" in format_error(
        OSError(errno.EROFS, "Read-only", str(cached)), CONF
    )
    assert not is_usage_error(OSError(errno.EIO, "Input/output error"))


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch, capsys) -> None:
    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with RunFolder(tmp_path / "run").locked():
        assert "is on a file system without locks" in capsys.readouterr().err


def test_a_metric_that_cannot_be_computed_is_found_before_training(
    composed, tmp_path: Path
) -> None:
    cases = {
        "metric=images": "metric=images scores images, data=ring has none",
        "metric=class_frechet": "needs a class-conditional model",
        "metric=translation": "data=ring has one domain",
        "metric=code_match": "a classifier needs labelled images",
        "metric=retrieval": "metric=retrieval needs images with their own conditions",
        "metric=stacked_modes": "counts the modes of data=stacked_mnist",
    }
    for choice, message in cases.items():
        with pytest.raises(ConfigError, match=message):
            train(composed("model=gan", "data=ring", choice, "trainer.max_steps=2"))
    with pytest.raises(ConfigError, match=r"metric=modes needs known modes, data=digits has none"):
        train(composed("model=gan", "data=digits", "metric=modes"))
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------ what messages suggest


MESSAGES = {
    "data.crop_size=286": r"no key 'data.crop_size' .*; in data there are adam_lr, batch_size, channels, condition_shape,",
    "optim.lr=1e-4": r"did you mean optim.generator.lr or optim.discriminator.lr",
    "generator.x=1": r"no key 'generator.x'; in generator there are norm, sample_shape, width;",
    "encoder.width=3": r"did you mean .*model.encoder.width",
    "model=progan": r"got 'progan' \(of the same kind there is pggan\)",
    "model=cycelgan": r"did you mean 'cyclegan'\?",
    "trainer.max_epoch=2": r"did you mean 'max_epochs'\?",
}


@pytest.mark.parametrize("override", MESSAGES)
def test_messages_name_what_there_is(override: str) -> None:
    """Only the keys of the chosen parts are listed, and the same name elsewhere is suggested."""
    extra = ["model=vae"] if override.startswith("encoder") else []
    with pytest.raises(ConfigError, match=MESSAGES[override]):
        compose_overrides([*extra, override])


def test_several_processes_ask_for_signals_now_and_then(monkeypatch) -> None:
    """Asking costs milliseconds: it is done after a quarter of a second of steps of the slowest process."""
    interruption = Interruption()
    interruption._asked_at = (0, 0.0)
    interruption._ask_at = 0
    slowest = 0.01

    class Hosts:
        def max(self, signum: float, seconds: float) -> list[float]:
            return [signum, max(seconds, slowest)]

    interruption._hosts = Hosts()
    monkeypatch.setattr("gan_zoo.callbacks.interruption.time.monotonic", lambda: 0.0)
    interruption._ask(10)
    assert interruption._ask_at == 10 + 25
    slowest = 10.0
    interruption._ask(35)
    assert interruption._ask_at == 36
    slowest = 0.0
    interruption._ask(36)
    assert interruption._ask_at == 136
