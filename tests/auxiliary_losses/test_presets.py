"""Every preset builds its class, and one override replaces a model's term."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_zoo.auxiliary_losses.classification import GaussianKL, GaussianLikelihood
from gan_zoo.config.compose import instantiate
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.class_heads.acgan import ACGAN
from gan_zoo.models.infogan import InfoGAN
from gan_zoo.models.translation.cyclegan import CycleGAN
from gan_zoo.models.translation.pix2pix import Pix2Pix
from gan_zoo.models.with_encoder.vae import VAE
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.networks.image_encoders import MLPEncoder
from gan_zoo.networks.mlp import MLPGenerator
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.image_to_image import ResNetTranslator
from tests.models.playing import CRITIC, GENERATOR, batch, gradients, turns

RECONSTRUCTIONS, CLASSIFICATIONS = choices("reconstruction", CONF), choices("classification", CONF)

OF_SOUNDS = {"mel"}


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_reconstructions(name: str) -> None:
    node = OmegaConf.load(CONF / f"reconstruction/{name}.yaml")
    term = instantiate(OmegaConf.create({"data": {"sample_rate": 8000}, "term": node}).term)
    draw = torch.Generator().manual_seed(0)
    shape = (1, 256) if name in OF_SOUNDS else (1, 16, 16)
    a, b = (torch.rand(3, *shape, generator=draw) * 2 - 1 for _ in range(2))
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
            return compose(
                "config", [f"hydra.searchpath=[file://{tmp_path}]", "model=mine", *overrides]
            ).model

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
    focal = composed_game(
        "classification@model.classification=focal", "model.classification.gamma=1"
    )
    assert instantiate(focal.classification).gamma == 1


@pytest.mark.parametrize("name", CLASSIFICATIONS)
@pytest.mark.parametrize("model", ["acgan", "infogan"])
def test_every_classification_plays_in_the_games_that_name_something(model: str, name: str) -> None:
    """The terms of both sides are finite and reach the logits' head, and the generator through it."""
    term = instantiate(OmegaConf.load(CONF / f"classification/{name}.yaml"))
    if model == "acgan":
        built, key = ACGAN(GENERATOR, CRITIC, term, num_classes=3, latent_dim=4), "class"
    else:
        built, key = (
            InfoGAN(GENERATOR, CRITIC, term, GaussianLikelihood(), categories=3, latent_dim=4),
            "code",
        )
    of_critic, of_generator = turns(
        built, batch(label=torch.tensor([0, 1, 2, 0, 1, 2])), NonSaturating()
    )
    for loss, network in (
        (of_critic[f"d/{key}"], built.discriminators),
        (of_generator[f"g/{key}"], built.generators),
    ):
        assert loss.isfinite()
        assert any(gradient.abs().sum() > 0 for gradient in gradients(loss, network).values())


@pytest.mark.parametrize("name", ["style", "triplet", "l1"])
@pytest.mark.parametrize("model", ["cyclegan", "pix2pix", "vae"])
def test_reconstructions_play_in_the_games_that_rebuild(model: str, name: str) -> None:
    term = instantiate(OmegaConf.load(CONF / f"reconstruction/{name}.yaml"))
    shapes = {"a_shape": [1, 8, 8], "b_shape": [1, 8, 8]}
    translator, discriminator = (
        partial(ResNetTranslator, width=4, blocks=1),
        partial(DCGANDiscriminator, width=4),
    )
    image = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    data = Batch(2, StepRNG(0, 0), real=image, condition=image.flip(0))
    if model == "cyclegan":
        built, key = CycleGAN(translator, discriminator, term, term, **shapes), "cycle"
    elif model == "pix2pix":
        patches = partial(PatchGAN, [1, 8, 8], layers=1, width=4)
        built, key = Pix2Pix(translator, patches, term, **shapes), "reconstruction"
    else:
        networks = (
            partial(MLPGenerator, sample_shape=[1, 8, 8], width=8),
            partial(MLPEncoder, sample_shape=[1, 8, 8]),
        )
        built, key = VAE(*networks, term, GaussianKL(), latent_dim=2), "reconstruction"
    with torch.enable_grad():
        loss = built.generator_terms(data, built.generate(data), [])[key]
    assert loss.isfinite()
    assert any(gradient.abs().sum() > 0 for gradient in gradients(loss, built.generators).values())
