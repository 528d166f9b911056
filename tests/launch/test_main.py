"""The command line as a user meets it: in processes of its own."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.config.checks import check_single_process_multirun
from gan_zoo.config.messages import choices, format_error
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.launch.main import main
from gan_zoo.launch.train import train
from tests import processes

ROOT = Path(__file__).parents[2]
SMALL = ("callbacks.evaluation.num_samples=64", "extractor.image_size=32")
QUICK = ("trainer.max_steps=6", "trainer.log_every_n_steps=2", "data.batch_size=8", "trainer=cpu")


def run_folders(cwd: Path) -> list[Path]:
    return sorted((cwd / "outputs").glob("*/*")) if (cwd / "outputs").exists() else []


def test_a_run_leaves_what_the_contract_says(tmp_path: Path) -> None:
    overrides = ("data=digits", *SMALL, "callbacks.evaluation.every_images=16", *QUICK)
    done = processes.train(*overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = run_folders(tmp_path)
    assert run.parent.name == "dcgan-nonsaturating-digits"
    named = (
        ".hydra/config.yaml",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "metrics.csv",
        "metrics.json",
    )
    for name in (*named, "report.html"):
        assert (run / name).is_file(), name
    assert list((run / "samples").glob("*.png"))
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["images_seen"] == 48
    assert metrics["config"]["data"]["batch_size"] == 8
    assert "torch" in metrics["provenance"]
    assert metrics["seconds"] > 0
    assert metrics["images_per_second"] == pytest.approx(48 / metrics["seconds"], rel=0.01)
    names = {entry["name"] for entry in metrics["metrics"]}
    assert names == {"fd_efficientnet_lite0", "is_efficientnet_lite0", "is_std_efficientnet_lite0"}
    protocol = metrics["metrics"][0]["protocol"]
    assert {
        "extractor",
        "weights_sha256",
        "resize",
        "split",
        "num_real",
        "num_generated",
        "ema",
        "seed",
        "world_size",
    } <= set(protocol)
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    keys = {
        "d/realism",
        "g/realism",
        "train/images_seen",
        "train/generator_steps",
        "train/images_per_second",
        "train/total",
    }
    assert keys | {
        "val/fd_efficientnet_lite0",
        "d/realism/accuracy_real",
        "d/grad_norm",
        "g/grad_norm",
    } <= set(rows[0])
    assert [row["step"] for row in rows if row["d/realism"]] == ["2", "4", "6"]
    assert "digits" in done.stdout
    assert "fd_efficientnet_lite0" in done.stdout


BAD_INPUT = {
    "steps": (
        ["data=digits", "trainer.max_steps=abc"],
        "trainer.max_steps must be an integer >= -1, got 'abc'",
    ),
    "seed": (["data=digits", "seed=-1"], "seed must be an integer >= 0, got -1"),
    "model": (["model=gann"], "vae, vae_gan, veegan, wavegan, got 'gann' (did you mean 'gan'?)"),
    "loss": (["loss=hinges"], "(did you mean 'hinge'?)"),
    "key": (
        ["trainer.max_step=3"],
        "there is no key 'trainer.max_step' (did you mean 'max_steps'?)",
    ),
    "top key": (["sed=3"], "there is no key 'sed' (did you mean 'seed'?)"),
    "no root": (["data=image_folder"], "data.root must be given"),
    "no folder": (
        ["data=image_folder", "data.root=nowhere"],
        "data.root must be a folder of images",
    ),
    "image size": (["data.image_size=50"], "got 50x50: set data.image_size"),
    "large batch": (
        ["data=digits", "data.batch_size=2000"],
        "data.batch_size=2000 is more than the 1797 samples",
    ),
    "n_critic": (["loss.n_critic=0", "data=digits"], "n_critic must be an integer >= 1, got 0"),
    "resume": (
        ["resume=nowhere"],
        "resume must be auto, a run folder or a checkpoint, got 'nowhere'",
    ),
    "no data": (
        ["data=mnist", "data.download=false", "data.root=nowhere"],
        "set data.root to a folder that has it",
    ),
    "argument": (
        ["+model.temperature=1", "data=digits"],
        "unexpected keyword argument 'temperature'",
    ),
    "word": (
        ["data=digits", "optim.generator.lr=fast"],
        "optim.generator.lr: must be a number, got 'fast'",
    ),
    "fraction": (
        ["data=digits", "model.latent_dim=1.5"],
        "model.latent_dim: must be an integer, got 1.5",
    ),
    "lone number": (
        ["data=digits", "optim.generator.betas=3"],
        "optim.generator.betas: must be a list, got 3",
    ),
    "precision": (
        ["trainer.precision=16-mixed", "data=digits", "trainer=cpu"],
        "trainer.precision must be",
    ),
    "storage": (
        ["data=digits", "hydra.run.dir=s3://bucket/run"],
        "hydra.run.dir must be a folder of this machine, got s3://bucket/run",
    ),
    "syntax": (["data=digits", "trainer.max_steps=[1"], ""),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line(case: str, tmp_path: Path, monkeypatch, capsys) -> None:
    overrides, message = BAD_INPUT[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), *overrides])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code in (1, 2)
    assert_one_line(capsys.readouterr().err, message)
    assert run_folders(tmp_path) == [], "no half-made run is left"


def test_bad_input_is_one_line_in_a_process_too(tmp_path: Path) -> None:
    done = processes.train("loss.n_critic=0", "data=digits", cwd=tmp_path)
    assert done.returncode == 1
    assert_one_line(done.stderr, "n_critic must be an integer >= 1, got 0")
    assert done.stdout == ""


def assert_one_line(stderr: str, message: str) -> None:
    (line,) = [line for line in stderr.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert message in line


def test_the_traceback_is_there_for_who_asks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in processes.train("loss.n_critic=0", "data=digits", cwd=tmp_path).stderr


def test_help_lists_the_choices_and_the_config_prints(tmp_path: Path) -> None:
    shown = processes.train("--help", cwd=tmp_path).stdout
    assert "wgan_gp" in shown
    assert "== Config ==" not in processes.train("--cfg", "job", cwd=tmp_path).stdout
    assert "n_critic: 1" in processes.train("--cfg", "job", cwd=tmp_path).stdout


@pytest.mark.slow
def test_a_multirun_goes_on_when_a_job_fails(tmp_path: Path) -> None:
    done = processes.train(
        "-m", "loss=wgan", "loss.n_critic=0,1", "data=ring", "model=gan", *QUICK, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.count("n_critic must be") == 1
    finished = [
        path.parent.parent.name for path in tmp_path.glob("multirun/*/*/checkpoints/last.ckpt")
    ]
    assert finished == ["1-gan-wgan-ring"]


def test_launchers_that_stay_in_one_process_refuse_several(monkeypatch) -> None:
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(
        ConfigError, match=r"single process, got trainer.devices=2: use launcher=local"
    ):
        check_single_process_multirun({"trainer": {"devices": 2}})


# Losses, models and metrics on two processes have faster tests of their own.
@pytest.mark.slow
@pytest.mark.parametrize("loss", ["nonsaturating", "wgan_gp"])
def test_two_processes_equal_one(loss: str, tmp_path: Path) -> None:
    dump = f"+callbacks.dump={{_target_: tests.helpers.DumpRank, folder: {tmp_path}}}"
    common = (
        "model=gan",
        "data=digits",
        f"loss={loss}",
        "optim=sgd",
        "callbacks.evaluation.num_samples=100",
        *SMALL[1:],
        dump,
        *QUICK[:3],
    )
    for trainer in ("cpu", "ddp_cpu"):
        done = processes.train(*common, f"trainer={trainer}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    assert not torch.equal(first["latents"], second["latents"])
    assert torch.equal(torch.cat([first["latents"], second["latents"]], dim=1), one["latents"])
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name]), name
        torch.testing.assert_close(tensor, one["weights"][name], atol=1e-6, rtol=1e-6)
    scores = [
        json.loads((run / "metrics.json").read_text())["metrics"] for run in run_folders(tmp_path)
    ]
    assert sorted(found[0]["protocol"]["world_size"] for found in scores) == [1, 2]
    assert {score["protocol"]["num_generated"] for found in scores for score in found} == {100}
    assert scores[0][0]["value"] == pytest.approx(scores[1][0]["value"], rel=1e-4)


def test_the_checkpoint_is_plain_data(composed, tmp_path: Path) -> None:
    train(composed("model=gan", "data=ring", *QUICK, "callbacks.evaluation.num_samples=100"))
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["gan_zoo"]["config"]["data"]["batch_size"] == 8
    assert (
        checkpoint["gan_zoo"]["provenance"]["torch"] == torch.__version__.split("+")[0]
        or "+" in torch.__version__
    )
    assert {key.split(".")[0] for key in checkpoint["state_dict"]} <= {
        "model",
        "losses",
        "regularizers",
        "ema",
    }


def test_large_sets_stream_through_workers(composed, tmp_path: Path) -> None:
    from PIL import Image

    for number in range(12):
        Image.new("RGB", (20, 20), (number * 20, 0, 0)).save(tmp_path / f"{number}.png")
    overrides = (
        "data=image_folder",
        f"data.root={tmp_path}",
        "data.image_size=8",
        "callbacks=none",
        "metric=none",
    )
    here = composed(*overrides, *QUICK, "logger=none")
    workers = composed(
        *overrides, *QUICK, "logger=none", "data.memory_limit=0", "data.num_workers=2"
    )
    states = []
    for config in (here, workers):
        trainer, module, data = build(config)
        trainer.fit(module, datamodule=data)
        states.append(module.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("logger", ["wandb", pytest.param("tensorboard", marks=pytest.mark.slow)])
def test_loggers(logger: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if logger == "tensorboard":
        pytest.importorskip("tensorboard")
    done = processes.train(f"logger={logger}", "data=digits", *SMALL, *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = run_folders(tmp_path)
    assert (run / "metrics.csv").is_file()
    pattern = {
        "wandb": "wandb/offline-run-*/*.wandb",
        "tensorboard": "tensorboard/events.out.tfevents.*",
    }[logger]
    assert list(run.glob(pattern))
    assert ("logging offline" in done.stdout) == (logger == "wandb")


def test_the_installed_command_works_from_any_folder(tmp_path: Path) -> None:
    executable = Path(sys.executable).with_name("gan-zoo")
    if not executable.exists():
        pytest.skip("gan-zoo is not installed beside this Python")
    line = [
        str(executable),
        "train",
        "model=gan",
        "data=ring",
        "callbacks.evaluation.num_samples=100",
        *QUICK,
    ]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(run_folders(tmp_path)) == 1


def test_options_and_keys_are_explained_from_the_files() -> None:
    assert {"dcgan", "gan"} <= set(choices("model", CONF))
    assert "_common" not in choices("data", CONF)
    assert format_error(ValueError("a\n  b"), CONF) == "a b"
