"""A module in a Lightning trainer of the user's own."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import gan_zoo as gz
from gan_zoo.callbacks.interruption import Interruption
from gan_zoo.core.errors import ConfigError, DataError, Interrupted
from gan_zoo.core.signals import HANDLED, SIGNALS
from gan_zoo.training.own_trainer import as_batch

PAGE = Path(__file__).parents[2] / "docs" / "lightning.md"
SHAPE = [1, 8, 8]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning's own


def make_module(model: Callable[..., Any] = gz.GAN, **options: Any) -> gz.GANModule:
    networks = {
        "generator": partial(gz.DCGANGenerator, sample_shape=SHAPE, width=4),
        "discriminator": partial(gz.DCGANDiscriminator, sample_shape=SHAPE, width=4),
    }
    torch.manual_seed(0)
    return gz.GANModule(model(**networks, **options), gz.NonSaturating())


def make_trainer(**options: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return L.Trainer(**({"max_steps": 4, "accelerator": "cpu"} | quiet | options))


def digits() -> gz.DataModule:
    return gz.DataModule(gz.digits(), batch_size=8)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"<!-- lightning -->\n```python\n(.+?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace('accelerator="auto"', 'accelerator="cpu"'), names)
    assert names["samples"].shape == (8, 1, 16, 16)
    assert names["trainer"].global_step == 32
    assert list((tmp_path / "checkpoints").glob("*.ckpt"))


def test_another_loader_trains_as_our_own_does() -> None:
    """The same samples in the same order give the same weights, to the last bit."""
    source = gz.digits()
    ours, theirs = make_module(), make_module()
    seen: list[Tensor] = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
            seen.append(batch.real.clone())

    make_trainer(callbacks=[Watch()]).fit(ours, datamodule=gz.DataModule(source, batch_size=8))
    loader = DataLoader(torch.cat(seen), batch_size=8)
    make_trainer().fit(theirs, loader)
    for name, value in ours.model.state_dict().items():
        assert torch.equal(value, theirs.model.state_dict()[name]), name


@pytest.fixture
def python_handles_ctrl_c() -> Iterator[None]:
    """As in a terminal: a process in the background may have been started to ignore SIGINT."""
    given = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, given)


def interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


def fail(*_: object) -> None:
    raise ArithmeticError


@pytest.mark.usefixtures("python_handles_ctrl_c")
@pytest.mark.parametrize(
    ("during", "raised"), [(None, None), (interrupt, Interrupted), (fail, ArithmeticError)]
)
def test_signals_are_the_users_own_again(during, raised) -> None:
    """Ctrl-C in a notebook must not be swallowed after a training."""

    class During(L.Callback):
        def on_train_batch_start(self, *hook: Any) -> None:
            assert signal.getsignal(signal.SIGINT) == SIGNALS._handle
            if during is not None:
                during()

    before = [signal.getsignal(number) for number in HANDLED]
    trainer = make_trainer(callbacks=[Interruption(), During()])
    with nullcontext() if raised is None else pytest.raises(raised):
        trainer.fit(make_module(), digits())
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_epochs_of_another_loader() -> None:
    pairs = TensorDataset(torch.zeros(24, *SHAPE), torch.arange(24) % 10)
    trainer = make_trainer(max_steps=-1, max_epochs=3)
    model = partial(gz.ConditionalGAN, condition=partial(gz.ClassCondition, num_classes=10))
    trainer.fit(make_module(model), DataLoader(pairs, batch_size=8))
    assert trainer.global_step == 9


def test_our_data_bring_what_the_model_needs() -> None:
    trainer = make_trainer(max_steps=2)
    trainer.fit(
        make_module(
            partial(gz.ConditionalGAN, condition=partial(gz.ClassCondition, num_classes=10))
        ),
        datamodule=digits(),
    )
    assert trainer.global_step == 2


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"max_steps": -1, "max_epochs": 2, "limit_train_batches": 3}, 6),
        ({"fast_dev_run": True}, 1),
        ({"profiler": "simple"}, 4),
        ({"precision": "bf16-mixed"}, 4),
        ({"detect_anomaly": True}, 4),
    ],
)
def test_options_that_work(options: dict[str, Any], steps: int) -> None:
    trainer = make_trainer(**options)
    trainer.fit(make_module(), datamodule=digits())
    assert trainer.global_step == steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": -1, "max_epochs": 2}, "never end, so max_epochs has no effect"),
        ({"max_epochs": 2}, "never end, so max_epochs has no effect"),
        ({"overfit_batches": 2}, "overfit_batches has no effect"),
        ({"precision": "64-true"}, "precision must be auto, 32-true or bf16-mixed, got '64-true'"),
        ({"strategy": "ddp", "devices": 1}, "strategy must be .*FlatDDPStrategy.* got DDPStrategy"),
        ({"accumulate_grad_batches": 2}, "accumulation is not supported"),
        ({"gradient_clip_val": 1.0}, "clipping is not supported"),
    ],
)
def test_options_that_would_be_ignored(options: dict[str, Any], message: str) -> None:
    module = make_module()

    def run() -> None:
        make_trainer(**options).fit(module, datamodule=digits())

    with pytest.raises(Exception, match=message) as caught:
        run()
    ours = "FlatDDP" in message or "no effect" in message or "precision" in message
    assert isinstance(caught.value, ConfigError) is ours
    assert "\n" not in str(caught.value)


def module_at(step: int, *needs: str) -> Any:
    trainer = SimpleNamespace(global_step=step, global_rank=0, world_size=1)
    return SimpleNamespace(trainer=trainer, model=SimpleNamespace(needs=needs))


def test_random_numbers_follow_from_seed_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = torch.zeros(4, *SHAPE)

    def latents(step: int) -> Tensor:
        return as_batch(samples, module_at(step), True).rng.normal("latents", (4, 3))

    first = latents(1)
    assert torch.equal(first, latents(1))
    assert not torch.equal(first, latents(2))
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    assert not torch.equal(first, latents(1))


SAMPLES, CLASSES = torch.zeros(4, *SHAPE), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("batch", "needs", "message"),
    [
        ({"image": SAMPLES}, (), "a batch must be samples .* got dict"),
        ([], (), "a batch must be samples .* got list"),
        ([SAMPLES, "text"], (), r"got list of Tensor \[4, 1, 8, 8\] of float32, str"),
        ([SAMPLES, CLASSES.float()], (), r"Tensor \[4\] of float32"),
        ([SAMPLES, CLASSES, CLASSES], (), "got list of"),
        (SAMPLES.to(torch.uint8), (), "floating-point numbers in .* got uint8 from 0 to 0"),
        (SAMPLES + 1.5, (), "got float32 from 1.5 to 1.5"),
        (SAMPLES, ("label",), "this model needs batches with label"),
        ([SAMPLES, CLASSES], ("image", "label"), "this model needs batches with image"),
    ],
)
def test_batches_that_cannot_be_used(batch: Any, needs: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        as_batch(batch, module_at(0, *needs), True)
    assert "\n" not in str(caught.value)
