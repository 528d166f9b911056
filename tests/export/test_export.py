"""A generator that was given away is the one that was trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import gan_zoo
from gan_zoo.core.errors import ConfigError
from gan_zoo.export.write import export
from gan_zoo.inference.load import load_run
from gan_zoo.inference.model import samples
from gan_zoo.launch.train import train
from tests.helpers import invoke

QUICK = (
    "trainer.max_steps=2",
    "data.batch_size=8",
    "callbacks.progress=null",
    "callbacks.samples=null",
    "metric=none",
)
SMALL = ("generator.width=8", "discriminator.width=8")
MODELS = {
    "dcgan": ("data=digits", *SMALL),
    "cgan": ("model=cgan", "data=digits", *SMALL),
    "acgan": ("model=acgan", "data=digits", *SMALL),
    "infogan": ("model=infogan", "data=digits", *SMALL),
    "captions": (
        "model=cgan",
        "data=openmoji_captions",
        "condition=text",
        "data.image_size=16",
        *SMALL,
    ),
    "vectors": ("model=gan", "data=ring", *SMALL),
}


@pytest.mark.parametrize("name", MODELS)
def test_export_and_load_give_equal_samples(name: str, composed, tmp_path: Path) -> None:
    train(composed(*MODELS[name], *QUICK))
    run = load_run(tmp_path / "run")
    out = export(run, tmp_path / "given away", samples=8)
    back = gan_zoo.load(str(out))
    wishes = {"caption": "red heart"} if name == "captions" else {}
    assert len(back.sample(16, seed=3, **wishes)) == 16
    assert torch.equal(back.sample(6, seed=3, **wishes), samples(run, 6, seed=3, **wishes))
    assert not torch.equal(back.sample(6, seed=4, **wishes), samples(run, 6, seed=3, **wishes))
    about = json.loads((out / "model.json").read_text())
    assert about["images_seen"] == 16
    assert about["averaged"] is True
    card = (out / "README.md").read_text()
    assert "16 images seen" in card
    assert about["data"]["license"] in card
    assert (out / "samples.png").is_file() == (name != "vectors")
    assert not list(tmp_path.glob(".given*")), "nothing half-made is left"


def test_an_export_needs_neither_the_data_nor_the_run(
    composed, tmp_path: Path, monkeypatch
) -> None:
    train(composed(*MODELS["cgan"], *QUICK))
    out = export(load_run(tmp_path / "run"), tmp_path / "out", samples=8)
    monkeypatch.setattr(
        "gan_zoo.config.build.build_data", lambda config: pytest.fail("the data were asked for")
    )
    invoke("sample", out, "--size", 20, "--out", tmp_path / "grid.png")
    assert (tmp_path / "grid.png").is_file()
    assert gan_zoo.load(str(out)).sample(3, label=7).shape == (3, 1, 8, 8)


def test_exports_that_cannot_be_trusted_are_refused(composed, tmp_path: Path) -> None:
    train(composed(*MODELS["vectors"], *QUICK))
    run = load_run(tmp_path / "run")
    out = export(run, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"--out must be a new or empty folder, got .*out"):
        export(run, out)
    about = json.loads((out / "model.json").read_text())
    about["config"]["generator"]["_target_"] = "os.system"
    (out / "model.json").write_text(json.dumps(about))
    with pytest.raises(
        ConfigError, match=r"would run 'os.system', which is not part of gan_zoo: add --trust"
    ):
        gan_zoo.load(str(out))
    weights = out / "generators.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(
        ConfigError, match=r"out is damaged or no export of gan_zoo: .* weights of another hash"
    ):
        gan_zoo.load(str(out))
    (out / "model.json").write_text("{")
    with pytest.raises(ConfigError, match=r"out is damaged or no export of gan_zoo"):
        gan_zoo.load(str(out))


def test_a_translation_model_says_how_to_be_used_and_where_it_was_trained_stays_private(
    composed, tmp_path: Path, monkeypatch
) -> None:
    narrow = (
        "generator.width=8",
        "generator.blocks=1",
        "discriminator.width=8",
        "data.image_size=32",
        *QUICK,
    )
    train(composed("model=cyclegan", *narrow, "data.batch_size=2"))
    monkeypatch.chdir(tmp_path)
    invoke("export", tmp_path / "run", "out")
    assert "gan-zoo translate out IN OUT" in Path("out/README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in Path("out/model.json").read_text(encoding="utf-8")
    images = tmp_path / "in"
    images.mkdir()
    Image.new("RGB", (32, 32), "red").save(images / "a.png")
    invoke("translate", "out", "in", "there")
    assert (tmp_path / "there" / "a.png").is_file()


def test_importing_gan_zoo_is_light() -> None:
    import subprocess

    code = "import sys, gan_zoo; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
