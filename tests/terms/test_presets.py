"""Every preset builds what it says, and one override swaps a game's term."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import gan_zoo
from gan_zoo.compose import CONF, instantiate
from gan_zoo.errors import choices
from tests.test_layering import imports

RECONSTRUCTIONS, CLASSIFICATIONS = choices("reconstruction", CONF), choices("classification", CONF)


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_reconstructions(name: str) -> None:
    term = instantiate(OmegaConf.load(CONF / f"reconstruction/{name}.yaml"))
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.rand(3, 1, 16, 16, generator=draw) * 2 - 1 for _ in range(2))
    loss = term(a.requires_grad_(), b)
    assert loss.shape == ()
    assert torch.autograd.grad(loss, a)[0].flatten(1).any(1).all()
    assert 0 <= term(b, b).item() < 2e-3 < loss.item()


@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_classifications(name: str) -> None:
    term = instantiate(OmegaConf.load(CONF / f"classification/{name}.yaml"))
    right, wrong = (term(sign * 9 * torch.eye(3), torch.arange(3)) for sign in (1, -1))
    assert 0 <= right.item() < wrong.item()


@pytest.mark.parametrize("option", [f"reconstruction/{name}" for name in RECONSTRUCTIONS])
def test_presets_begin_with_a_sentence(option: str) -> None:
    first = (CONF / f"{option}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")


def test_terms_stand_on_the_ground() -> None:
    """They know neither games nor losses; the perceptual one alone borrows a network from the metrics."""
    for file in (Path(gan_zoo.__file__).parent / "terms").glob("*.py"):
        ours = {name for name in imports(file) if name.startswith("gan_zoo") and not name.startswith("gan_zoo.terms")}
        allowed = {"gan_zoo.distributed"} | ({"gan_zoo.metrics.extractors"} if file.stem == "perceptual" else set())
        assert ours <= allowed, file


PRESET = """
defaults:
  - /reconstruction@reconstruction: l1
  - /classification@classification: cross_entropy
  - _self_
weight: 10.0
"""


@pytest.fixture
def composed_game(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(PRESET)

    def make(*overrides: str):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", [f"hydra.searchpath=[file://{tmp_path}]", "model=mine", *overrides]).model

    return make


def test_a_games_preset_names_its_terms(composed_game) -> None:
    model = composed_game()
    assert model.reconstruction._target_.endswith("L1")
    assert model.classification._target_.endswith("CrossEntropy")
    assert model.weight == 10


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_one_override_swaps_a_term(name: str, composed_game) -> None:
    ours = composed_game(f"reconstruction@model.reconstruction={name}").reconstruction
    assert ours == OmegaConf.load(CONF / f"reconstruction/{name}.yaml")


def test_numbers_are_changed_by_name(composed_game) -> None:
    both = ("reconstruction@model.reconstruction=huber", "model.reconstruction.delta=0.25")
    assert composed_game(*both).reconstruction.delta == 0.25
    focal = composed_game("classification@model.classification=focal", "model.classification.gamma=1")
    assert instantiate(focal.classification).gamma == 1
