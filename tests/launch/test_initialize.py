"""Training from the weights of another run."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.core.errors import ConfigError
from gan_zoo.launch.initialize import initialize_from
from gan_zoo.runs.checkpoint_io import read_checkpoint

OVERRIDES = ("model=dcgan", "data=digits", "generator.width=4", "discriminator.width=4")


@pytest.fixture
def run(trained):
    return trained(*OVERRIDES)


def state(path) -> dict[str, torch.Tensor]:
    return read_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"]


@pytest.mark.parametrize("only", [None, "generator", "discriminator"])
def test_weights_of_the_same_name_and_shape_are_copied(only, run, tiny) -> None:
    _, module, _ = build(tiny(*OVERRIDES, "seed=5"))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    line = initialize_from(module, str(run), only)
    assert line.startswith("init ")
    saved = state(run)
    for key, value in module.state_dict().items():
        of_generator = key.startswith(("model.generators", "ema.generators"))
        of_discriminator = key.startswith("model.discriminators")
        copied = (of_generator and only != "discriminator") or (
            of_discriminator and only != "generator"
        )
        assert torch.equal(value, saved[key] if copied else before[key]), key
    assert module.clock.images_seen == 0


def test_other_shapes_keep_their_own_weights(run, tiny) -> None:
    """A discriminator of another width is left alone, but for its scalars."""
    _, module, _ = build(tiny(*OVERRIDES, "discriminator.width=8"))
    before = module.model.discriminators["main"].layers[0].weight.clone()
    initialize_from(module, str(run))
    assert torch.equal(module.model.discriminators["main"].layers[0].weight, before)
    generator = state(run)["model.generators.main.layers.1.weight"]
    assert torch.equal(module.model.generators["main"].layers[1].weight, generator)


def test_what_cannot_be_copied_is_one_line(run, tiny, tmp_path) -> None:
    _, module, _ = build(tiny("model=vae", "data=digits"))
    with pytest.raises(
        ConfigError, match=r"init=.* has no weights of the names and shapes of this run's networks"
    ):
        initialize_from(module, str(run), "discriminator")
    with pytest.raises(
        ConfigError,
        match="init must be a run folder or a checkpoint, got 'nowhere', which does not",
    ):
        initialize_from(module, "nowhere")
    with pytest.raises(
        ConfigError, match="init_only must be null, generator or discriminator, got 'encoder'"
    ):
        initialize_from(module, str(run), "encoder")
