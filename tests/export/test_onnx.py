"""ONNX files give what torch gives, for any number of samples, or are not there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.export import onnx as onnx_export
from gan_zoo.export.write import export
from gan_zoo.inference.latents import draw_latents
from gan_zoo.inference.load import load_run
from gan_zoo.inference.model import LoadedModel, samples
from gan_zoo.launch.train import train
from tests.helpers import refused

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

QUICK = (
    "trainer.max_steps=2",
    "data.batch_size=4",
    "callbacks.progress=null",
    "callbacks.samples=null",
    "metric=none",
)
SMALL = ("generator.width=8", "discriminator.width=8")
IMAGES = ("data.image_size=32", "generator.width=8", "discriminator.width=8")


@pytest.fixture
def trained(composed, tmp_path: Path):
    def make(*overrides: str) -> LoadedModel:
        train(composed(*overrides, *QUICK))
        return load_run(tmp_path / "run")

    return make


def asked(file: Path, **inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (answer,) = session.run(["samples"], {name: tensor.numpy() for name, tensor in inputs.items()})
    return torch.from_numpy(answer)


def assert_equal(answer: torch.Tensor, expected: torch.Tensor) -> None:
    assert answer.shape == expected.shape
    assert (answer - expected).abs().max() <= onnx_export.TOLERANCE * expected.abs().max()


@pytest.mark.slow
def test_dcgan_through_onnxruntime(trained, tmp_path: Path) -> None:
    run = trained("data=digits", *SMALL)
    out = export(run, tmp_path / "out", samples=8, onnx=True)
    assert_equal(
        asked(out / "generator.onnx", latents=draw_latents(run.module, 7, 3)),
        samples(run, 7, seed=3),
    )
    about = json.loads((out / "model.json").read_text())["onnx"]
    assert about["generator.onnx"]["inputs"] == {
        "latents": {"type": "float32", "shape": ["batch", 100]}
    }
    assert 0 <= about["generator.onnx"]["difference"] <= about["generator.onnx"]["allowed"]
    code = re.search(
        r"(?:^    .*\n)+", (out / "README.md").read_text().partition("## ONNX")[2], re.MULTILINE
    )
    names: dict = {}
    exec(
        re.sub("^    ", "", code[0], flags=re.MULTILINE).replace(
            "generator.onnx", str(out / "generator.onnx")
        ),
        names,
    )
    assert names["samples"].shape == (16, 1, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cyclegan", "pix2pix"])
def test_translators_through_onnxruntime(model: str, trained, tmp_path: Path) -> None:
    run = trained(
        f"model={model}", *IMAGES, *(["generator.blocks=1"] if model == "cyclegan" else [])
    )
    out = export(run, tmp_path / "out", samples=4, onnx=True)
    networks = run.module.inference_generators
    images = 2 * torch.rand(3, 3, 32, 32) - 1
    files = (
        {"a_to_b": "a_to_b.onnx", "b_to_a": "b_to_a.onnx"}
        if model == "cyclegan"
        else {"main": "generator.onnx"}
    )
    assert {file.name for file in out.glob("*.onnx*")} == set(files.values())
    for name, file in files.items():
        with torch.no_grad():
            assert_equal(asked(out / file, image=images), networks[name](images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "inputs"),
    [
        (("model=cgan", "data=digits"), {"label": torch.tensor([3, 3, 9, 0, 1])}),
        (("model=acgan", "data=digits"), {"label": torch.tensor([3, 3, 9, 0, 1])}),
        (
            ("model=gat_conditional", "generator.heads=2", "discriminator.heads=2"),
            {"label": torch.tensor([3, 3, 9, 0, 1])},
        ),
        (
            ("model=infogan", "data=digits"),
            {
                "label": torch.tensor([3, 3, 9, 0, 1]),
                "condition": torch.linspace(-1, 1, 10).reshape(5, 2),
            },
        ),
        (
            ("model=cgan", "data=openmoji_captions", "condition=text", "data.image_size=16"),
            {
                "condition": torch.tensor(
                    [[5, 7] + [0] * 14, [9] + [0] * 15, [1] * 16, [2] * 16, [3] * 16]
                )
            },
        ),
        (
            (
                "model=cgan_single",
                "data=openmoji_lines",
                "data.unpaired=false",
                "condition=image",
                "data.image_size=16",
                "data.vocabulary_size=2000",  # as where conditions may also be captions
            ),
            {"condition": torch.linspace(-1, 1, 5 * 3 * 16 * 16).reshape(5, 3, 16, 16)},
        ),
    ],
)
def test_generators_that_are_told_something(overrides, inputs, trained, tmp_path: Path) -> None:
    run = trained(*overrides, *SMALL)
    onnx_export.write_onnx(run, tmp_path)
    latents = draw_latents(run.module, 5, 0)
    wanted = SampleRequest(5, StepRNG(0, 0), latents=latents, **inputs)
    assert_equal(
        asked(tmp_path / "generator.onnx", latents=latents, **inputs), run.module.sample(wanted)
    )


@pytest.mark.slow
def test_a_translator_to_classes_through_onnxruntime(trained, tmp_path: Path) -> None:
    run = trained("model=stargan", "data=digits", "generator.blocks=1", "discriminator.layers=1")
    onnx_export.write_onnx(run, tmp_path)
    images = torch.linspace(-1, 1, 5 * 64).reshape(5, 1, 8, 8)
    inputs = {"condition": images, "label": torch.tensor([3, 3, 9, 0, 1])}
    wanted = SampleRequest(5, StepRNG(0, 0), **inputs)
    assert_equal(asked(tmp_path / "generator.onnx", **inputs), run.module.sample(wanted))


@pytest.mark.slow
def test_what_cannot_be_written_is_one_line(trained, tmp_path: Path) -> None:
    run = trained(
        "model=cgan_single",
        "data=openmoji_captions",
        "condition=text_gru",
        "data.image_size=16",
        *SMALL,
    )
    with pytest.raises(
        ConfigError, match=r"^--onnx cannot write generator.onnx of this model: [^\n]+$"
    ):
        export(run, tmp_path / "out", onnx=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_file_that_disagrees_leaves_nothing(trained, tmp_path: Path, monkeypatch) -> None:
    trained("model=gan", "data=ring", *SMALL)
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    line = refused("export", tmp_path / "run", tmp_path / "out", "--onnx")
    assert re.fullmatch(
        r"error: --onnx: generator.onnx differs from torch by .+ where .+ is allowed.+", line
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_the_extra_is_named_where_it_is_missing(trained, tmp_path: Path, monkeypatch) -> None:
    trained("model=gan", "data=ring", *SMALL)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    line = refused("export", tmp_path / "run", tmp_path / "out", "--onnx")
    assert line == "error: this needs onnxscript: pip install 'gan-zoo[onnx]'"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
