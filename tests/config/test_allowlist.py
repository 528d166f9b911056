"""Runs and exports that come from somebody else: what they may name, read and write."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from gan_zoo.config.allowlist import check_no_paths
from gan_zoo.config.compose import reach_own_parts
from gan_zoo.config.resume_overrides import expand_resume
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.export.write import export
from gan_zoo.inference.load import MODEL, load, load_run
from gan_zoo.launch.train import train
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import recorded_overrides

ROOT = Path(__file__).parents[2]
SMALL = (
    "data=digits",
    "generator.width=8",
    "discriminator.width=8",
    "trainer.max_steps=1",
    "data.batch_size=8",
)
SMALL += (
    "metric=none",
    "callbacks.progress=null",
    "callbacks.samples=null",
    "callbacks.doctor=null",
    "logger=none",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A tiny run of class-conditional digits."""
    from hydra import compose, initialize_config_dir

    folder = tmp_path_factory.mktemp("outside") / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(
            compose(
                "config",
                ["model=acgan", *SMALL, f"run_dir={folder}", "trainer=cpu", "trainer.max_steps=1"],
            )
        )
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory) -> Path:
    return export(load_run(run), tmp_path_factory.mktemp("given") / "away", samples=4)


PLACES = {
    "evaluation": "callbacks.evaluation.run_dir='~/.bashrc'",
    "relative": "callbacks.evaluation.run_dir=train.py",
    "samples": "callbacks.samples.run_dir=/somewhere/else",
    "up": "callbacks.samples.run_dir=run/../../x",
    "checkpoints": "callbacks.checkpoints.run_dir=/somewhere/else",
    "logger": "logger.csv.save_dir=/somewhere/else",
    "mlflow": "+logger.mlflow={_target_: lightning.pytorch.loggers.MLFlowLogger, tracking_uri: 'sqlite:////x.db'}",
    "profiler": "+trainer.profiler={_target_: lightning.pytorch.profilers.SimpleProfiler, dirpath: /x}",
    "root": "trainer.default_root_dir=/somewhere/else",
    "any key": "+callbacks.own={_target_: gan_zoo.callbacks.sample_grid.SampleGrid, whatever: /x/y}",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_foreign_run_writes_in_its_own_folder_alone(place: str, composed) -> None:
    from gan_zoo.config.compose import to_dict

    config = to_dict(composed("model=gan", "data=ring", PLACES[place]))
    with pytest.raises(
        ConfigError, match=r"lies outside the run folder: add trust=true if you trust the run"
    ):
        check_no_paths(config, "trust=true")


def test_what_our_own_configs_write_is_inside(composed) -> None:
    from gan_zoo.config.compose import to_dict

    for logger in ("csv", "tensorboard", "wandb", "none"):
        check_no_paths(
            to_dict(composed("data=digits", f"logger={logger}", "trainer=ddp_cpu")), "trust=true"
        )


@pytest.mark.parametrize(
    "override",
    [
        "tags=[${oc.env:SECRET}]",
        "data.root=${oc.env:HOME}",
        "tags=[${oc.env:${x}}]",
        "x=${hydra:job.name}",
    ],
)
def test_a_foreign_run_reads_no_environment(override: str, tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(
        yaml.safe_dump([override]), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"is refused: .* add trust=true"):
        recorded_overrides(RunFolder(tmp_path))
    assert recorded_overrides(RunFolder(tmp_path), trust=True) == [override]
    with pytest.raises(ConfigError, match="is refused"):
        expand_resume([f"resume={tmp_path}"])
    assert override in expand_resume([f"resume={tmp_path}", "trust=true"])


def test_our_own_variables_and_references_are_fine(tmp_path: Path) -> None:
    overrides = ["data.root=${oc.env:GAN_ZOO_DATA,data}", "generator.width=${discriminator.width}"]
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides), encoding="utf-8")
    assert recorded_overrides(RunFolder(tmp_path)) == overrides


@pytest.mark.parametrize(
    "command", [["-m", "gan_zoo.cli.app", "doctor", "."], [str(ROOT / "train.py"), "--cfg", "job"]]
)
def test_files_beside_the_user_shadow_nothing(command: list[str], tmp_path: Path) -> None:
    """``torch.py`` in a downloaded run folder is not what is imported."""
    for name in ("torch", "PIL", "hydra", "yaml", "rich"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n", encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }  # as for the installed command
    subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, timeout=120
    )
    assert not (tmp_path / "ran").exists()


def test_own_parts_are_found_behind_what_is_installed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "torch.py").write_text("", encoding="utf-8")
    reach_own_parts({"loss": {"_target_": "torch.optim.Adam"}})
    assert str(tmp_path) not in sys.path
    (tmp_path / "my_parts_of_today.py").write_text("", encoding="utf-8")
    reach_own_parts({"loss": {"_target_": "my_parts_of_today.Loss"}})
    assert sys.path[-1] == str(tmp_path)


EVIL = {
    "a download": {
        "_target_": "gan_zoo.data.datasets.torchvision_datasets.mnist",
        "root": "HERE",
        "download": True,
    },
    "a folder": {"_target_": "gan_zoo.data.datasets.image_folder.image_folder", "root": "HERE"},
    "weights": {"_target_": "gan_zoo.metrics.extractors.inception.InceptionV3"},
    "a callback": {"_target_": "gan_zoo.callbacks.sample_grid.SampleGrid", "run_dir": "HERE"},
}


@pytest.mark.parametrize("group", ["model", "generator", "classification"])
@pytest.mark.parametrize("name", EVIL)
def test_an_exports_config_names_parts_of_models_alone(
    name: str, group: str, exported: Path, tmp_path: Path
) -> None:
    about = json.loads((exported / MODEL).read_text(encoding="utf-8"))
    node = {
        key: str(tmp_path / "made") if value == "HERE" else value
        for key, value in EVIL[name].items()
    }
    if group == "classification":
        about["config"]["model"]["classification"] = node
    else:
        about["config"][group] = node
    evil = tmp_path / "evil"
    evil.mkdir()
    for file in exported.iterdir():
        (evil / file.name).write_bytes(file.read_bytes())
    (evil / MODEL).write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(ConfigError, match="which is no part of a model"):
        load(evil)
    assert not (tmp_path / "made").exists()


def test_an_exports_data_read_nothing(exported: Path, tmp_path: Path) -> None:
    loaded = load(exported)
    assert len(loaded.source) > 0, "embedded data need no trust"
    loaded = load(exported)
    loaded.config["data"]["source"] = {
        "_target_": "gan_zoo.data.datasets.image_folder.image_folder",
        "root": str(tmp_path),
    }
    with pytest.raises(ConfigError, match=r"would read them here: add --trust"):
        _ = loaded.source


def changed(value: object, chance: random.Random) -> object:
    """``value`` with one random part replaced, dropped or of another kind."""
    junk = [None, [], {}, "x", -1, 1e400, True, "a" * 300, {"_target_": "os.system"}, [[]], "${x}"]
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: changed(value[key], chance)}
    return chance.choice(junk)


@pytest.mark.parametrize("seed", range(3))
def test_changed_exports_are_one_line(seed: int, exported: Path, tmp_path: Path) -> None:
    about = json.loads((exported / MODEL).read_text(encoding="utf-8"))
    chance = random.Random(seed)
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for _ in range(20):
        (tmp_path / MODEL).write_text(
            json.dumps(changed(copy.deepcopy(about), chance)), encoding="utf-8"
        )
        said = ""
        try:
            load(tmp_path)
        except ConfigError as error:
            said = str(error)
        assert "\n" not in said


@pytest.mark.parametrize("config", [[1, 2], "text", None, {}, {"model": 3}])
def test_a_checkpoint_whose_config_is_odd_is_one_line(
    config: object, run: Path, tmp_path: Path
) -> None:
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    saved["gan_zoo"]["config"] = config
    torch.save(saved, tmp_path / "x.ckpt")
    with pytest.raises(ConfigError) as refused:
        load_run(tmp_path / "x.ckpt")
    assert "\n" not in str(refused.value)


def test_classes_are_asked_for_by_name(exported: Path, run: Path) -> None:
    for loaded in (load_run(run), load(exported)):
        assert loaded.class_names == [str(digit) for digit in range(10)]
        assert torch.equal(loaded.sample(2, label="3"), loaded.sample(2, label=3))
        with pytest.raises(ConfigError, match=r"class must be 0 to 9, got ten"):
            loaded.sample(2, label="ten")
