"""What only a GPU can show; `make test-gpu` runs all of it.

Each test has a device. The cases of the CPU are short, and show that the test itself works; those of
CUDA are skipped where there is none. The tolerances of CUDA were chosen without one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from gan_zoo.config.build import build
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.launch.main import main
from gan_zoo.launch.train import train
from gan_zoo.training.module import GANModule
from tests.training.two_processes import MODELS

ROOT = Path(__file__).parents[2]
GPUS = torch.cuda.device_count()
CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(GPUS == 0, reason="no GPU with CUDA here")],
)
DEVICES = ["cpu", CUDA]
SAMPLE = ("dcgan", "gan", "cyclegan", "sngan", "infogan", "r3gan", "vae", "ctgan")
ON_CPU = ("gan", "ctgan")
"""Models of the short cases."""
Configure = Callable[..., DictConfig]


def on_devices(models: tuple[str, ...] = SAMPLE) -> list[Any]:
    """Models with devices: few on the CPU, all on CUDA."""
    cases = [pytest.param(model, "cpu", id=f"{model}-cpu") for model in models if model in ON_CPU]
    for model in models:
        cases.append(pytest.param(model, "cuda", id=f"{model}-cuda", marks=CUDA.marks))
    return cases


@pytest.fixture
def configured(tiny: Configure) -> Configure:
    """A short training of the smallest networks of a model on a device."""

    def make(model: str, device: str, *overrides: str) -> DictConfig:
        small = (o for o in MODELS[model] if not o.startswith("metric"))
        steps = 20 if device == "cuda" else 2
        where = ("trainer=auto", f"trainer.accelerator={device}")
        every = (f"trainer.max_steps={steps}", "trainer.log_every_n_steps=1")
        return tiny(f"model={model}", *small, "data.batch_size=4", *where, *every, *overrides)

    return make


def trained(config: DictConfig) -> dict[str, Tensor]:
    """The state after training, on the CPU."""
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    state = module.state_dict()
    return {name: v.detach().cpu() for name, v in state.items() if torch.is_tensor(v)}


@pytest.fixture
def drawn_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device gets the random numbers of the CPU, and full precision."""
    for name in ("normal", "uniform", "randint"):
        draw = getattr(StepRNG, name)

        def drawn(self: StepRNG, *arguments: Any, draw: Any = draw) -> Tensor:
            return draw(self.to(CPU), *arguments).to(self.device)

        monkeypatch.setattr(StepRNG, name, drawn)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize(("model", "device"), on_devices())
def test_training_is_that_of_the_cpu(
    model: str, device: str, configured: Configure, drawn_on_cpu: None
) -> None:
    expected = trained(
        configured(model, "cpu", f"trainer.max_steps={20 if device == 'cuda' else 2}")
    )
    found = trained(configured(model, device))
    for name, value in expected.items():
        # Adam divides by gradients, so weights with tiny ones go their own ways.
        gap = (found[name].double() - value.double()).abs().mean()
        assert gap <= 1e-3 * (1 + value.double().abs().mean()), name


@pytest.mark.parametrize(("model", "device"), on_devices())
def test_bfloat16(model: str, device: str, configured: Configure) -> None:
    state = trained(configured(model, device, "trainer.precision=bf16-mixed"))
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize(
    ("model", "device"),
    [
        pytest.param("dcgan", "cpu", marks=pytest.mark.slow),
        pytest.param("dcgan", "cuda", marks=CUDA.marks),
    ],
)
def test_compiled_training_is_eager_training(
    model: str, device: str, configured: Configure, drawn_on_cpu: None
) -> None:
    eager = trained(configured(model, device))
    compiled = trained(
        configured(model, device, "trainer=compiled", f"trainer.accelerator={device}")
    )
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize(("model", "device"), on_devices())
def test_a_resumed_run_is_the_uninterrupted_one(
    model: str, device: str, configured: Configure, tmp_path: Path
) -> None:
    def run(folder: str, steps: int, *more: str) -> dict[str, Any]:
        saving = ("callbacks=default", "callbacks.progress=null", "callbacks.samples=null")
        quiet = (
            "callbacks.doctor=null",
            "trainer.deterministic=true",
            f"run_dir={tmp_path / folder}",
        )
        length = f"trainer.max_steps={steps}"
        train(configured(model, device, *saving, *quiet, length, "optim.horizon=100", *more))
        checkpoint = tmp_path / folder / "checkpoints" / "last.ckpt"
        state: dict[str, Any] = torch.load(checkpoint, "cpu", weights_only=False)["state_dict"]
        return state

    whole = run("whole", 4)
    run("half", 2)
    rest = run("rest", 4, f"resume={tmp_path / 'half'}")
    assert all(torch.equal(rest[n], v) for n, v in whole.items() if torch.is_tensor(v))


@pytest.mark.gpu
@pytest.mark.skipif(GPUS == 0, reason="no GPU with CUDA here")
@pytest.mark.parametrize("devices", sorted({1, max(1, GPUS)}))
@pytest.mark.parametrize("model", SAMPLE)
def test_nccl_on_one_and_on_all_gpus(model: str, devices: int, tmp_path: Path) -> None:
    assert_trains(tmp_path, model, "trainer=ddp", f"trainer.devices={devices}", size=4 * devices)


@pytest.mark.slow
def test_gloo_on_two_processes(tmp_path: Path) -> None:
    assert_trains(tmp_path, "gan", "trainer=ddp_cpu", size=4)


def assert_trains(folder: Path, model: str, *overrides: str, size: int) -> None:
    small = (o for o in MODELS[model] if not o.startswith("metric"))
    ended = command(
        folder, f"model={model}", *small, *overrides, f"data.batch_size={size}", "metric=none"
    )
    assert ended.returncode == 0, ended.stderr
    assert list(folder.rglob("last.ckpt"))


@pytest.mark.parametrize("device", DEVICES)
def test_out_of_memory_is_one_line(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if device == "cuda":
        torch.cuda.set_per_process_memory_fraction(1e-5)
    else:
        monkeypatch.setattr(GANModule, "training_step", no_memory)
    small = ("model=gan", "data=ring", "metric=none", "callbacks=none", "logger=none")
    where = ("trainer=auto", f"trainer.accelerator={device}", f"hydra.run.dir={tmp_path / 'run'}")
    monkeypatch.setattr(sys, "argv", ["train.py", *small, *where, "trainer.max_steps=2"])
    try:
        with pytest.raises(SystemExit, match="1"):
            main()
    finally:
        if device == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "there is not enough memory" in errors[0]
    assert "data.batch_size" in errors[0]


def no_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def command(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """What ``python train.py`` does with few steps."""
    quick = ("trainer.max_steps=2", "logger=none", "callbacks.progress=null")
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *overrides, *quick],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
