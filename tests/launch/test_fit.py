"""A GAN is built, trained and sampled from without a config, and the notebook that shows so runs."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf
from PIL import Image

import gan_zoo as gz
from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.training.module import DEFAULT_EMA, adam

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
PAGE = re.search(
    r"<!-- library -->\n```python\n(.+?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL
)
README = re.search(
    r"<!-- library -->\n```python\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL
)


def code_cells(notebook: dict) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def code_lines(text: str) -> list[str]:
    return [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


def tiny_game(**options) -> gz.Model:
    shape = [1, 8, 8]
    generator = partial(gz.DCGANGenerator, sample_shape=shape, width=8)
    return options.pop("model", gz.GAN)(
        generator,
        partial(gz.DCGANDiscriminator, sample_shape=shape, width=8),
        latent_dim=4,
        **options,
    )


def test_every_part_can_be_had_by_its_name() -> None:
    for name in gz.__all__:
        assert getattr(gz, name) is not None
    assert (
        {"DCGANGenerator", "GANModule", "fit", "load", "samples"} <= set(gz.__all__) == set(dir(gz))
    )
    with pytest.raises(AttributeError, match="attribute"):
        _ = gz.Gan


def test_importing_the_package_is_quick() -> None:
    code = (
        "import time; t = time.perf_counter(); import gan_zoo; assert time.perf_counter() - t < 0.1"
    )
    subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; assert 'torch' not in sys.modules"], check=True
    )


def test_defaults_are_those_of_the_command() -> None:
    conf = OmegaConf.load(ROOT / "conf" / "optim" / "adam.yaml")
    made = adam([torch.nn.Parameter(torch.zeros(1))])
    for player in (conf.generator, conf.discriminator):
        assert player._target_ == "torch.optim.Adam"
        assert (player.lr, tuple(player.betas)) == (made.defaults["lr"], made.defaults["betas"])
    assert OmegaConf.load(ROOT / "conf" / "config.yaml").ema == dict(DEFAULT_EMA)


@pytest.mark.parametrize("text", ["docs", "notebook", "README"])
def test_the_examples_run(text: str, tmp_path: Path, monkeypatch) -> None:
    whole = {"docs": PAGE and PAGE[1], "README": README and README[1]}.get(text)
    whole = whole or "\n".join(code_cells(json.loads(NOTEBOOK.read_text())))
    assert len(code_lines(whole)) < 20
    quick = whole.replace("gz.openmoji(image_size=32)", "gz.digits()").replace(
        "width=32", "width=8"
    )
    quick = re.sub(r"steps=\d+", "steps=3, progress=False, log_every_n_steps=1", quick)
    assert "steps=3" in quick
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict = {}
    exec(compile(quick, text, "exec"), names)
    assert names["module"].clock.images_seen == 3 * 64
    assert names["gz"].samples(names["module"], 5).shape == (5, 1, 8, 8)
    assert not list(tmp_path.glob("lightning_logs"))


def test_samples_are_of_the_seed_and_within_bounds() -> None:
    history = gz.History()
    data = gz.DataModule(gz.digits(), batch_size=8)
    module = gz.fit(
        gz.GANModule(tiny_game(), gz.Hinge()),
        data,
        4,
        logger=history,
        progress=False,
        log_every_n_steps=2,
    )
    drawn = gz.samples(module, 6, seed=1)
    assert drawn.shape == (6, 1, 8, 8)
    assert drawn.abs().max() <= 1
    assert torch.equal(drawn, gz.samples(module, 6, seed=1))
    assert isinstance(gz.image_grid(drawn), Image.Image)
    assert history["step"] == [2.0, 4.0]
    assert len(history["d/realism"]) == 2
    with pytest.raises(KeyError, match=r"'d/match' was not logged; there are step, d/realism"):
        history["d/match"]


def test_a_game_is_served_what_it_needs() -> None:
    data = gz.DataModule(gz.digits(), batch_size=8)
    model = tiny_game(model=gz.CGAN, condition=partial(gz.ClassCondition, 10))
    module = gz.fit(gz.GANModule(model, gz.NonSaturating()), data, 2, progress=False)
    assert "mismatched" in data.needs
    assert gz.samples(module, 4, label=3).shape == (4, 1, 8, 8)
    unlabelled = gz.DataModule(gz.Source("mine", "train", data.source.samples), batch_size=8)
    with pytest.raises(DataError, match="needs data that have a class"):
        gz.fit(module, unlabelled, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be an integer >= 1, got 0"),
        (
            {"steps": 1, "use_distributed_sampler": True},
            "use_distributed_sampler is settled by gan_zoo.fit",
        ),
        ({"steps": 1, "max_steps": 3}, "max_steps is settled by gan_zoo.fit, got max_steps=3"),
        ({"steps": 1, "precision": "16-mixed"}, "precision must be auto, 32-true or bf16-mixed"),
        ({"steps": 1, "precision": "bf16-true"}, "precision must be auto, 32-true or bf16-mixed"),
        ({"steps": 1, "precision": "64-true"}, "precision must be auto, 32-true or bf16-mixed"),
    ],
)
def test_what_is_not_allowed_is_named(options: dict, message: str) -> None:
    data = gz.DataModule(gz.digits(), batch_size=8)
    with pytest.raises(ConfigError, match=message):
        gz.fit(gz.GANModule(tiny_game(), gz.Hinge()), data, **options)


class Stop(Callback):
    """Somebody presses Ctrl-C during the third step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if batch_idx == 2:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def sigint_handled() -> Iterator[None]:
    """SIGINT as in a terminal: a shell's background jobs start with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)
def test_a_stopped_cell_keeps_what_was_learned(sigint_handled: None) -> None:
    before = signal.getsignal(signal.SIGINT)
    module = gz.GANModule(tiny_game(), gz.Hinge())
    with pytest.raises(KeyboardInterrupt, match="stopped at step 3"):
        gz.fit(
            module,
            gz.DataModule(gz.digits(), batch_size=8),
            1000,
            callbacks=[Stop()],
            progress=False,
        )
    assert signal.getsignal(signal.SIGINT) is before
    assert module.clock.images_seen == 24
    assert gz.samples(module, 2).shape == (2, 1, 8, 8)


def outputs_of(notebook: dict) -> list[dict]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def check_executed(notebook: dict) -> None:
    """No error, and two images of which the first is a grid of drawings."""
    outputs = outputs_of(notebook)
    assert "error" not in {output["output_type"] for output in outputs}
    images = [
        output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    assert len(images) == 2
    assert sum(len(base64.b64decode(image)) for image in images) < 300_000


def test_the_notebook_is_saved_with_its_outputs_and_names_no_machine() -> None:
    text = NOTEBOOK.read_text()
    check_executed(json.loads(text))
    said = [
        json.dumps({k: v for k, v in o.get("data", {}).items() if "image" not in k})
        for o in outputs_of(json.loads(text))
    ]
    assert not re.search(r"/(tmp|home|root|work|Users)/", " ".join(said))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, 4)
    assert len(code_lines("\n".join(code_cells(notebook)))) < 20
    client = nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    check_executed(notebook)
