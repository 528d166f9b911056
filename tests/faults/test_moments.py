"""A signal at every moment of a run loses nothing: what is saved is the newest whole state, or nothing new."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

import gan_zoo.callbacks.evaluation as evaluation
from gan_zoo.core.errors import Interrupted
from gan_zoo.core.signals import SIGNALS
from gan_zoo.launch.train import train
from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.trainer import AtomicCheckpointIO

STEPS = 12
TINY = (
    *(
        "model=gan",
        "data=ring",
        "metric=modes",
        "callbacks.evaluation.num_samples=64",
        "callbacks.samples.count=4",
    ),
    *("generator.width=8", "generator.depth=1", "discriminator.width=8", "discriminator.depth=1"),
    *(
        "data.batch_size=8",
        "callbacks.progress=null",
        "callbacks.samples.every_images=0",
        "callbacks.doctor=null",
    ),
    *(
        "callbacks.checkpoints.every_images=32",
        "callbacks.evaluation.every_images=64",
        "trainer.log_every_n_steps=4",
    ),
)
FAST = ("on_fit_start", "on_train_start", "on_train_batch_start")
HOOKS = (
    *("setup", "on_fit_start", "on_train_start", "on_train_batch_start", "on_train_batch_end"),
    *("on_save_checkpoint", "on_load_checkpoint", "on_train_end", "on_fit_end", "teardown"),
)


def slow_unless(hook: str, fast: tuple[str, ...]) -> object:
    """A hook as a parameter: those that are not among the ``fast`` ones are for `make test-faults`."""
    return hook if hook in fast else pytest.param(hook, marks=pytest.mark.slow)


class Signalling(Callback):
    """Sends this process signals when a hook is called for the n-th time."""

    def __init__(
        self, hook: str, number: int = signal.SIGTERM, nth: int = 1, times: int = 1
    ) -> None:
        self.left = nth

        def send(*arguments: object, **options: object) -> None:
            self.left -= 1
            for _ in range(times if self.left == 0 else 0):
                os.kill(os.getpid(), number)

        setattr(self, hook, send)


def once(number: int) -> Callable[..., None]:
    """What sends a signal the first time it is called."""
    sent: list[int] = []

    def send() -> None:
        if not sent:
            sent.append(number)
            os.kill(os.getpid(), number)

    return send


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(RunFolder(run).checkpoints.latest_valid())["state_dict"]


def assert_same(run: Path, expected: dict[str, torch.Tensor]) -> None:
    found = weights(run)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert not torch.is_tensor(value) or torch.equal(found[name], value), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, request) -> dict[str, torch.Tensor]:
    """The final state of the run that nobody interrupts."""
    from hydra import compose, initialize_config_dir

    from gan_zoo.core.paths import CONF

    run = tmp_path_factory.mktemp("undisturbed") / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "config", [f"run_dir={run}", "trainer=cpu", *TINY, f"trainer.max_steps={STEPS}"]
        )
    train(config)
    return weights(run)


@pytest.fixture
def command(composed) -> Callable[..., None]:
    """The command of the tests, listening to signals as ``main`` does."""

    def run(*overrides: str) -> None:
        with SIGNALS.handlers_restored():
            SIGNALS.install()
            with SIGNALS.raise_immediately():
                train(composed(*TINY, f"trainer.max_steps={STEPS}", *overrides))

    return run


def signalling(hook: str, **options: int) -> str:
    listed = "".join(f", {name}: {value}" for name, value in options.items())
    return f"+callbacks.signalling={{_target_: tests.faults.test_moments.Signalling, hook: {hook}{listed}}}"


@pytest.mark.fault("a signal at every moment")
@pytest.mark.parametrize("hook", [slow_unless(hook, FAST[:1]) for hook in HOOKS])
def test_a_signal_at_every_moment_of_a_fresh_run(
    hook: str, command, undisturbed, tmp_path: Path
) -> None:
    try:
        command(signalling(hook))
    except Interrupted:
        assert hook not in ("on_train_end", "on_fit_end", "teardown", "on_load_checkpoint")
    command("resume=auto")
    assert_same(tmp_path / "run", undisturbed)


@pytest.mark.fault("a signal at every moment")
@pytest.mark.parametrize("hook", [slow_unless(hook, FAST) for hook in HOOKS])
def test_a_signal_at_every_moment_of_a_resumed_run(
    hook: str, command, undisturbed, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        command(signalling("on_train_batch_end", nth=6))
    reached = RunFolder(tmp_path / "run").checkpoints.entries()[-1].step
    assert reached in (6, 7)  # the callback that listens comes first
    try:
        command("resume=auto", signalling(hook, times=2))
    except Interrupted:
        assert RunFolder(tmp_path / "run").checkpoints.entries()[-1].step >= reached
    command("resume=auto")
    assert_same(tmp_path / "run", undisturbed)


@pytest.mark.fault("a signal at every moment")
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, slow_unless(signal.SIGINT, ()), slow_unless(signal.SIGHUP, ())]
)
def test_a_signal_in_the_evaluation_with_which_a_run_goes_on(
    number: int, command, undisturbed, tmp_path: Path, monkeypatch
) -> None:
    """The run had ended but for its last evaluation; nothing is saved before Lightning has restored the rest."""
    score = evaluation.evaluate_generator

    def interrupted(*arguments):
        if arguments[0].clock.images_seen == 8 * STEPS:
            os.kill(os.getpid(), number)
        return score(*arguments)

    monkeypatch.setattr(evaluation, "evaluate_generator", interrupted)
    for _ in range(2):
        with pytest.raises(Interrupted) as stop:
            command("resume=auto")
        assert stop.value.exit_code == 128 + number
        steps = [entry.step for entry in RunFolder(tmp_path / "run").checkpoints.entries()]
        assert steps[-1] == STEPS or steps[-1] == 8, steps
        assert 0 not in steps
    monkeypatch.setattr(evaluation, "evaluate_generator", score)
    command("resume=auto")
    assert_same(tmp_path / "run", undisturbed)


@pytest.mark.fault("a signal at every moment")
def test_a_signal_while_a_checkpoint_is_written(
    command, undisturbed, tmp_path: Path, monkeypatch
) -> None:
    save, send = AtomicCheckpointIO.save_checkpoint, once(signal.SIGTERM)

    def interrupted(self, *arguments, **options):
        send()
        return save(self, *arguments, **options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", interrupted)
    with pytest.raises(Interrupted):
        command()
    command("resume=auto")
    assert_same(tmp_path / "run", undisturbed)


def test_what_is_ignored_stays_ignored() -> None:
    """nohup ignores SIGHUP for the command it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SIGNALS.handlers_restored():
            SIGNALS.install()
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("fault", ["in the metric", "in a step"])
def test_an_error_costs_no_weights(
    fault: str, command, composed, tmp_path: Path, monkeypatch, capsys
) -> None:
    def broken(*arguments, **options):
        raise RuntimeError("out of [memory]")

    if fault == "in the metric":
        monkeypatch.setattr(evaluation, "evaluate_generator", broken)
        command()
        assert "failed, training goes on: RuntimeError: out of [memory]" in capsys.readouterr().err
        assert RunFolder(tmp_path / "run").checkpoints.entries()[-1].step == STEPS
        return

    class Broken(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_) -> None:
            if pl_module.global_step == 7:
                broken()

    monkeypatch.setattr("tests.faults.test_moments.Signalling", lambda **_: Broken())
    with pytest.raises(RuntimeError, match="out of"):
        command(signalling("none"))
    assert RunFolder(tmp_path / "run").checkpoints.entries()[-1].step == 7
