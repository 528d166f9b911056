"""Compiled networks train to the same weights; discriminators that are differentiated twice are not compiled."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.config.build import build, build_module
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.training.compile import compile_networks

SMALL = (
    "data=digits",
    "generator.width=4",
    "discriminator.width=4",
    "data.batch_size=8",
    "trainer.max_steps=5",
)
QUIET = ("callbacks=none", "metric=none", "logger=none")


@pytest.mark.parametrize(
    ("override", "compiled"),
    [
        ("loss=hinge", {"generators.main", "discriminators.main"}),
        ("loss=wgan_gp", {"generators.main"}),
        ("loss=r3gan", {"generators.main"}),
        ("loss=wgan", {"generators.main", "discriminators.main"}),
        ("model=logan", set()),
        ("loss.unroll=1", {"generators.main"}),
    ],
)
def test_only_what_is_differentiated_once_is_compiled(
    override: str, compiled: set[str], composed
) -> None:
    module = build_module(composed(*SMALL, override))
    names = set(module.state_dict())
    regularizers = [part for part in module.regularizers.modules() if isinstance(part, Regularizer)]
    options = {"backend": "eager"}
    assert set(compile_networks(module.model, regularizers, options, module.unroll > 0)) == compiled
    assert set(module.state_dict()) == names


def trained(config) -> dict[str, torch.Tensor]:
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    return module.model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["loss=hinge", "loss=wgan_gp"])
def test_compiled_training_is_eager_training(loss: str, composed) -> None:
    eager = trained(composed(*SMALL, *QUIET, loss, "trainer=cpu"))
    compiled = trained(
        composed(*SMALL, *QUIET, loss, "trainer=compiled", "trainer.accelerator=cpu")
    )
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-5, msg=name)
