"""Presets as they are composed, held to their papers: who is normalized how, which optimizer, how many steps."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.config.build import build_module
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from gan_zoo.networks.layers.attention import SelfAttention
from gan_zoo.training.module import GANModule

DOCS = Path(__file__).parents[2] / "docs"
SMALL = (
    "data=digits",
    "data.image_size=32",
    "generator.width=8",
    "discriminator.width=8",
    "metric=none",
)
Compose = Callable[..., DictConfig]


def built(composed: Compose, *overrides: str) -> GANModule:
    torch.manual_seed(0)
    return build_module(composed(*SMALL, *overrides))


def layers_of(player: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in player.modules() if isinstance(layer, kinds)]


def normalized(player: nn.Module) -> list[bool]:
    """For each layer with a weight matrix, whether it is spectrally normalized."""
    return [is_parametrized(layer, "weight") for layer in layers_of(player, nn.Conv2d, nn.Linear)]


def rates(module: GANModule) -> list[tuple[type, float, tuple[float, float]]]:
    """Kind, learning rate and betas of the discriminator's and the generator's optimizer."""
    groups = [(type(made), made.param_groups[0]) for made in module.configure_optimizers()]
    return [(kind, group["lr"], tuple(group["betas"])) for kind, group in groups]


def test_sngan_normalizes_its_discriminator_alone(composed: Compose) -> None:
    """Miyato et al. 2018, table 3: batch norm in G, spectral norm and nothing else in D; appendix: n_dis 5."""
    module = built(composed, "model=sngan", "loss=hinge")
    generator, discriminator = module.model.generators, module.model.discriminators
    assert all(normalized(discriminator))
    assert not any(normalized(generator))
    assert len(layers_of(generator, nn.BatchNorm2d)) == 2 * 3 + 1, (
        "two in each of three blocks, one before the end"
    )
    assert not layers_of(discriminator, nn.BatchNorm2d, nn.GroupNorm)
    assert not layers_of(module.model, SelfAttention)
    assert module.n_critic == 5
    assert module.model.latent_dim == 128
    assert rates(module) == [(torch.optim.Adam, 2e-4, (0.0, 0.9))] * 2


def test_sagan_normalizes_both_players(composed: Compose) -> None:
    """Zhang et al. 2019, sections 4.1, 4.2 and 5: spectral norm in both, batch norm in G, two learning rates."""
    module = built(composed, "model=sagan", "loss=hinge")
    generator, discriminator = module.model.generators, module.model.discriminators
    assert all(normalized(discriminator))
    assert all(normalized(generator))
    assert len(layers_of(generator, nn.BatchNorm2d)) == 2 * 3 + 1
    assert not layers_of(discriminator, nn.BatchNorm2d, nn.GroupNorm)
    assert [len(layers_of(player, SelfAttention)) for player in (generator, discriminator)] == [
        1,
        1,
    ]
    assert module.n_critic == 1
    adam = torch.optim.Adam
    assert rates(module) == [(adam, 4e-4, (0.0, 0.9)), (adam, 1e-4, (0.0, 0.9))]


@pytest.mark.parametrize("model", ["sngan", "sagan"])
def test_a_loss_that_brings_an_optimizer_keeps_it(model: str, composed: Compose) -> None:
    config = composed(f"model={model}", "loss=wgan")
    assert config.optim.generator._target_ == "torch.optim.RMSprop"
    assert config.optim.discriminator.lr == 5e-5
    assert config.loss.n_critic == 5


PAPERS = {
    # learning rates of D and G, betas, steps of D, what else is set
    "dcgan": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {"model.latent_dim": 100, "generator.norm": "batch"},
    ),
    "acgan": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {"model.aux_on_fake": True, "model.class_weight": 1.0},
    ),
    "infogan": (
        [],
        (2e-4, 1e-3),
        [0.5, 0.999],
        1,
        {
            "model.latent_dim": 62,
            "model.prior": "uniform",
            "model.continuous_weight": 0.1,
            "data.batch_size": 128,
        },
    ),
    "cyclegan": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {
            "model.cycle_weight": 10,
            "model.identity_weight": 5,
            "model.pool_size": 50,
            "optim.schedule.start": 0.5,
        },
    ),
    "bicyclegan": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {
            "model.latent_dim": 8,
            "model.reconstruction_weight": 10,
            "model.kl_weight": 0.01,
            "model.latent_weight": 0.5,
            "discriminator.scales": 2,
        },
    ),
    "discogan": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {"model.cycle_weight": 1, "model.identity_weight": 0, "model.pool_size": 0},
    ),
    "pix2pix": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {"model.reconstruction_weight": 100, "generator.dropout": 0.5},
    ),
    "pix2pixhd": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {"model.feature_weight": 10, "discriminator.scales": 2, "discriminator.all_features": True},
    ),
    "munit": (
        [],
        (1e-4, 1e-4),
        [0.5, 0.999],
        1,
        {
            "model.reconstruction_weight": 10,
            "model.style_weight": 1,
            "model.content_weight": 1,
            "model.latent_dim": 8,
            "optim.generator.weight_decay": 1e-4,
            "discriminator.scales": 3,
            "discriminator.norm": "none",
        },
    ),
    "esrgan": (
        ["model=esrgan", "loss=ragan"],
        (1e-4, 1e-4),
        [0.9, 0.99],
        1,
        {
            "model.reconstruction_weight": 0.01,
            "model.perceptual_weight": 1,
            "model.adversarial_weight": 0.005,
        },
    ),
    "r3gan": (
        ["loss=r3gan"],
        (1e-4, 1e-4),
        [0.0, 0.9],
        1,
        {"regularizer.r1.every": 1, "regularizer.r2.every": 1, "model.latent_dim": 64},
    ),
    "spade": (
        ["model=spade", "loss=hinge"],
        (4e-4, 1e-4),
        [0.0, 0.9],
        1,
        {
            "model.feature_weight": 10,
            "model.reconstruction_weight": 10,
            "discriminator.norm": "spectral+instance",
            "discriminator.scales": 2,
            "discriminator.all_features": True,
            "generator.norm": "batch",
        },
    ),
    "srgan": (
        [],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {"model.adversarial_weight": 0.001, "generator.norm": "batch", "data.derive.factor": 2},
    ),
    "stargan": (
        ["model=stargan", "loss=wgan_gp"],
        (1e-4, 1e-4),
        [0.0, 0.9],
        5,
        {
            "model.class_weight": 1,
            "model.reconstruction_weight": 10,
            "discriminator.norm": "none",
            "generator.norm": "instance",
            "regularizer.gradient_penalty.weight": 10,
        },
    ),
    "stargan_v2": (
        [],
        (1e-4, 1e-4),
        [0.0, 0.99],
        1,
        {
            "model.style_weight": 1,
            "model.diversification_weight": 1,
            "model.cycle_weight": 1,
            "model.latent_dim": 16,
            "model.style_dim": 64,
            "model.mapping.depth": 4,
            "model.mapping.lr_multiplier": 0.01,
            "regularizer.r1.gamma": 1,
            "data.batch_size": 8,
        },
    ),
    "stylegan2": (
        [],
        (2.5e-3, 2.5e-3),
        [0.0, 0.99],
        1,
        {
            "model.latent_dim": 512,
            "generator.mapping_layers": 8,
            "generator.mixing": 0.9,
            "regularizer.r1.every": 16,
            "regularizer.path_length.every": 4,
            "regularizer.path_length.weight": 2.0,
        },
    ),
    "unit": (
        [],
        (1e-4, 1e-4),
        [0.5, 0.999],
        1,
        {
            "model.reconstruction_weight": 10,
            "model.kl_weight": 0.01,
            "model.cycle_weight": 10,
            "model.cycle_kl_weight": 0.01,
            "optim.generator.weight_decay": 1e-4,
            "discriminator.scales": 3,
        },
    ),
    "wgan_gp": (
        ["model=dcgan", "loss=wgan_gp"],
        (1e-4, 1e-4),
        [0.0, 0.9],
        5,
        {"regularizer.gradient_penalty.weight": 10, "discriminator.norm": "layer"},
    ),
    "fisher": (
        ["model=dcgan", "loss=fisher"],
        (2e-4, 2e-4),
        [0.5, 0.999],
        2,
        {"loss.adversarial.rho": 1e-6},
    ),
    "dragan": (
        ["model=dcgan", "loss=dragan"],
        (2e-4, 2e-4),
        [0.5, 0.999],
        1,
        {"regularizer.dragan.weight": 10},
    ),
}


@pytest.mark.parametrize("name", PAPERS)
def test_presets_compose_the_numbers_of_their_papers(name: str, composed: Compose) -> None:
    overrides, (of_critic, of_generator), betas, steps, more = PAPERS[name]
    chosen = [] if any(o.startswith("model=") for o in overrides) else [f"model={name}"]
    config = composed(*chosen, *overrides)
    assert (config.optim.discriminator.lr, config.optim.generator.lr) == (of_critic, of_generator)
    assert config.optim.generator.betas == config.optim.discriminator.betas == betas
    assert config.loss.n_critic == steps
    for key, value in more.items():
        node = config
        for part in key.split("."):
            node = node[part]
        assert node == value, key


def test_dualgan_composes_the_numbers_of_its_paper(composed: Compose) -> None:
    config = composed("model=dualgan", "loss=wgan")
    assert (config.optim.generator._target_, config.optim.generator.lr) == (
        "torch.optim.RMSprop",
        5e-5,
    )
    assert 100 <= config.model.cycle_weight <= 1000
    assert config.model.identity_weight == config.model.pool_size == 0


@pytest.mark.parametrize("group", ["model", "loss"])
def test_every_preset_has_a_row_beside_its_paper(group: str) -> None:
    section = (DOCS / "models.md").read_text().split("## Presets and their papers")[1]
    table = section.split(f"| `{group}=` |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(choices(group, CONF)) <= {
        name for row in rows for name in re.findall(r"`(\w+)`", row)
    }
