"""What data and models choose along with themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gan_zoo.config.compose import compose_overrides
from gan_zoo.config.messages import choices
from gan_zoo.config.suggestions import GROUPS, with_suggestions
from gan_zoo.core.paths import CONF


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["data=ring"], ["model=gan"]),
        (["data=table"], ["model=ctgan", "loss=wgan_gp", "loss.n_critic=1", "optim=ctgan"]),
        (["data=table", "loss=hinge"], ["model=ctgan", "optim=ctgan"]),
        (["data=table", "model=tvae"], []),
        (["data=table", "loss.n_critic=2"], ["model=ctgan", "loss=wgan_gp", "optim=ctgan"]),
        (["model=ctgan", "data.root=a.csv"], ["loss=wgan_gp", "loss.n_critic=1", "optim=ctgan"]),
        (["data=tones"], ["model=wavegan", "loss=wgan_gp", "optim=wavegan"]),
        (["-m", "data=tones", "seed=1,2"], ["model=wavegan", "loss=wgan_gp", "optim=wavegan"]),
        (["-m", "data=ring,grid"], []),
        (["data=ring", "experiment=mixtures"], []),
        (["data=ring", "resume=outputs/run"], []),
        (["data=ring", "resume=auto"], ["model=gan"]),
        (["model=dcgan", "seed=1"], []),
        ([], ["+data.generator_steps=1900", "+data.adam_lr=1e-3"]),
        (["loss=hinge"], ["+data.generator_steps=1900", "+data.adam_lr=1e-3"]),
    ],
)
def test_suggestions_are_what_the_command_leaves_open(given: list[str], added: list[str]) -> None:
    found = with_suggestions(given)
    assert [argument for argument in found if argument not in given] == added
    assert [argument for argument in found if argument in given] == given


def test_flags_keep_their_values() -> None:
    assert with_suggestions(["data=ring", "--cfg", "job"]) == [
        "--cfg",
        "job",
        "model=gan",
        "data=ring",
    ]


def test_the_default_run_is_short_for_every_loss() -> None:
    default = compose_overrides([])
    assert (default.trainer.max_steps, default.optim.generator.lr) == (1900, 1e-3)
    several = compose_overrides(["loss=wgan_gp"])
    assert (several.trainer.max_steps, several.optim.generator.lr) == (5 * 1900, 1e-4)
    assert compose_overrides(["loss.n_generator=2"]).trainer.max_steps == 950
    assert compose_overrides(["trainer.max_steps=7"]).trainer.max_steps == 7
    other = compose_overrides(["model=dcgan"])
    assert (other.trainer.max_steps, other.optim.generator.lr) == (6000, 2e-4)


@pytest.mark.slow
def test_every_suggestion_composes() -> None:
    for group in GROUPS:
        for name in choices(group, CONF):
            content = yaml.safe_load(
                Path(CONF / group / f"{name}.yaml").read_text(encoding="utf-8")
            )
            if suggested := content.get("suggests"):
                config = compose_overrides([f"{group}={name}"])
                assert suggested in (config.suggests, config.data.suggests)


def test_a_table_alone_is_trained_by_its_model() -> None:
    config = compose_overrides(["data=table", "data.bundled=iris"])
    assert config.model._target_.endswith("CTGAN")
    assert (config.loss.n_critic, config.pack) == (1, 10)
    assert (config.optim.generator.betas, config.optim.generator.lr) == ([0.5, 0.9], 2e-4)
    assert list(config.metric) == ["table"]


def test_tvae_has_the_numbers_of_its_paper() -> None:
    config = compose_overrides(["model=tvae", "data.bundled=iris"])
    assert config.generator._target_.endswith("MLPGenerator")
    assert (config.generator.width, config.generator.depth) == (128, 2)
    assert config.model.encoder.widths == [128, 128]
    assert (config.optim.generator.lr, config.optim.generator.weight_decay) == (1e-3, 1e-5)
    assert "_target_" not in config.discriminator
