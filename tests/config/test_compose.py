"""Every file below conf/ composes, and the combinations a user types do what they say."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from gan_zoo.config.build import build_evaluators, build_module
from gan_zoo.core.paths import CONF

LAUNCHERS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
}
LAUNCHERS["slurm"] = "hydra_plugins.hydra_submitit_launcher"
PLUGGED = {"classification", "encoder", "reconstruction"}  # groups that only presets bring in
OPTIONS = sorted(
    f"{file.parent.relative_to(CONF)}={file.stem}"
    for file in CONF.rglob("*.yaml")
    if file.parent != CONF and not file.stem.startswith("_")
)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _walked_elsewhere(option: str) -> bool:
    """Whether other tests compose it: presets, recipes, and the steps of every loss and
    regularizer.
    """
    group = option.partition("=")[0]
    return group in ("augment", "experiment", "loss", "model", "regularizer")


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(option, marks=pytest.mark.slow if _walked_elsewhere(option) else ())
        for option in OPTIONS
    ],
)
def test_every_option_composes_and_resolves(option: str, composed, tmp_path: Path) -> None:
    group, _, name = option.partition("=")
    if group == "launcher" and name in LAUNCHERS and not _installed(LAUNCHERS[name]):
        pytest.skip(f"{LAUNCHERS[name]} is not installed")
    text = Path(CONF / f"{option.replace('=', '/')}.yaml").read_text(encoding="utf-8")
    extra = ["data.root=somewhere"] if "data.root" in text and name != "table" else []
    if name == "tensor_file":  # whose shapes the config takes from the file
        np.save(tmp_path / "a.npy", np.zeros((2, 4, 8, 8)))
        extra = [f"data.root={tmp_path / 'a.npy'}"]
    if option == "data/derive=mel":  # of sounds alone
        extra = ["data=tones"]
    config = composed(f"+{option}" if group in PLUGGED else option, *extra, "+dummy=1")
    OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_says_what_it_is(option: str) -> None:
    lines = (CONF / f"{option.replace('=', '/')}.yaml").read_text().splitlines()
    comments = [
        line for line in lines[:2] if line.startswith("# ") and not line.startswith("# @package")
    ]
    assert comments, f"{option}: the first comment is what --help would say of it"


def test_wgan_gp_alone_is_sound(composed) -> None:
    config = composed("loss=wgan_gp")
    assert config.loss.n_critic == 5
    assert config.optim.generator.betas == [0.0, 0.9] == config.optim.discriminator.betas
    assert config.discriminator.norm == "layer"
    assert list(config.regularizer) == ["gradient_penalty"]


def test_data_and_models_bring_what_they_need(composed) -> None:
    rates = {
        data: composed("model=gan", f"data={data}").optim.generator.lr
        for data in ("ring", "digits")
    }
    assert rates == {"ring": 1e-3, "digits": 2e-4}
    assert composed("model=gan", "data=ring", "loss=wgan_gp").optim.generator.lr == 1e-4, (
        "a loss knows better"
    )
    config = composed("model=infogan")
    assert (config.optim.generator.lr, config.optim.discriminator.lr) == (1e-3, 2e-4)
    assert "infogan" in config.generator._target_
    assert "infogan" in config.discriminator._target_


def test_wgan_brings_rmsprop_and_clipping(composed) -> None:
    config = composed("loss=wgan")
    assert config.optim.discriminator._target_ == "torch.optim.RMSprop"
    assert config.optim.discriminator.lr == 5e-5
    assert list(config.regularizer) == ["weight_clip"]


@pytest.mark.parametrize("more", [[], ["regularizer=[lecam]"]])
def test_r3gan_keeps_its_penalties_beside_others(more: list[str], composed) -> None:
    config = composed("loss=r3gan", *more, "regularizer.r2.gamma=3")
    assert {"r1", "r2"} <= set(config.regularizer)
    assert (config.regularizer.r1.gamma, config.regularizer.r2.gamma) == (0.5, 3)
    assert all("_target_" in node for node in config.regularizer.values())


def test_the_command_line_wins_over_presets(composed) -> None:
    config = composed(
        "loss=wgan_gp", "optim=adam", "loss.n_critic=2", "discriminator.norm=none", "regularizer=r1"
    )
    assert config.optim.discriminator.lr == 2e-4
    assert config.loss.n_critic == 2
    assert config.discriminator.norm == "none"
    assert set(config.regularizer) == {"gradient_penalty", "r1"}


def test_networks_swap_under_any_model_in_one_override(composed) -> None:
    config = composed("model=gan", "data=digits", "generator=dcgan")
    assert config.generator._target_.endswith("DCGANGenerator")
    assert config.discriminator._target_.endswith("MLPDiscriminator")
    build_module(config)


def test_vectors_bring_mode_coverage(composed) -> None:
    assert list(composed("model=gan", "data=grid").metric) == ["modes"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=ring"], "use model=gan"),
        (["data.image_size=50"], "48x64 or 96x320, got 50x50"),
        (["regularizer=r1"], "discriminator.norm=layer"),
        (["loss.n_critic=0"], "n_critic must be an integer >= 1, got 0"),
        (
            ["discriminator.norm=bach"],
            "norm must be one of batch, instance, layer, spectral, none, .*got 'bach'",
        ),
        (["model.latent_dim=0"], "latent_dim must be >= 1, got 0"),
        (["model.prior=cauchy"], "prior must be one of normal, uniform"),
        (["ema.half_life=0"], "ema.half_life"),
    ],
)
def test_what_cannot_work_fails_while_composing(
    overrides: list[str], message: str, composed
) -> None:
    with pytest.raises(Exception, match="(?s)" + message.replace("(", r"\(")):
        build_module(composed(*overrides))


def test_other_extractors_and_arguments_leave_a_runs_metrics_as_they_are(composed) -> None:
    own = composed("metric=images_all", "metric.images.num_samples=500")
    (scores,) = build_evaluators(own, ["extractor=classifier"]).values()
    assert type(scores.extractor).__name__ == "OwnClassifier"
    assert (scores.num_samples, scores.memorization) == (500, True)
    assert set(scores.parts) == {"kid", "precision_recall", "density_coverage"}
    (scores,) = build_evaluators(own, ["metric.images.num_real=50"]).values()
    assert (scores.num_samples, scores.num_real) == (500, 50)
    assert set(scores.parts) == {"kid", "precision_recall", "density_coverage"}
    (scores,) = build_evaluators(own, ["metric=images", "extractor=classifier"]).values()
    assert not scores.parts
