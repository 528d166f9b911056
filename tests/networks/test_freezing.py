"""Frozen first layers of a discriminator."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.core.layers import has_weight_matrix
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.networks.freezing import freeze_first_layers

SHAPE = [1, 32, 32]


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_the_first_layers_and_their_norms_are_frozen(norm: str) -> None:
    network = freeze_first_layers(DCGANDiscriminator(SHAPE, 4, norm=norm), 2)
    layers = [module for module in network.modules() if has_weight_matrix(module)]
    trained = [all(p.requires_grad for p in layer.parameters()) for layer in layers]
    assert trained == [False, False] + [True] * (len(layers) - 2)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert [module.weight.requires_grad for module in norms] == (
        [False, True] if norm == "batch" else []
    )


def test_one_layer_is_left() -> None:
    with pytest.raises(
        ValueError, match="freeze_discriminator must be 0 to 3 for DCGANDiscriminator, got 4"
    ):
        freeze_first_layers(DCGANDiscriminator(SHAPE, 4), 4)


def test_frozen_weights_stay_in_training(tiny) -> None:
    overrides = (
        "model=dcgan",
        "data=digits",
        "freeze_discriminator=1",
        "trainer.max_steps=2",
        "discriminator.norm=none",
    )
    trainer, module, data = build(tiny(*overrides))
    before = {
        name: p.detach().clone() for name, p in module.model.discriminators.named_parameters()
    }
    trainer.fit(module, datamodule=data)
    moved = {
        name
        for name, p in module.model.discriminators.named_parameters()
        if not torch.equal(p, before[name])
    }
    frozen = {
        name for name, p in module.model.discriminators.named_parameters() if not p.requires_grad
    }
    assert frozen
    assert moved == set(before) - frozen
