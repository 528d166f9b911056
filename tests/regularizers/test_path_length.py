"""Path length regularization: closed forms on a linear synthesis, its average, whom its gradients reach."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, MappedGenerator
from gan_zoo.models.gan import GAN
from gan_zoo.networks.mlp import MLPDiscriminator
from gan_zoo.regularizers.path_length import PathLength
from gan_zoo.training.module import GANModule

SHAPE = [2, 3, 4]
STYLES = 3
DIM = 5


class Linear(nn.Module):
    """Styles are latents times two; images are linear in the styles, with other weights for each input."""

    num_styles = STYLES

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(STYLES, math.prod(SHAPE), latent_dim))
        self.factor = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("mean", torch.zeros(latent_dim))

    @property
    def mean_style(self) -> Tensor:
        return self.mean

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return (self.factor * latents)[:, None].expand(-1, STYLES, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        return torch.einsum("lpd,bld->bp", self.weight, styles).unflatten(1, SHAPE)

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesis(self.mapping(latents))


@pytest.fixture
def model() -> GAN:
    torch.manual_seed(0)
    return GAN(Linear, lambda: MLPDiscriminator(SHAPE, width=8), latent_dim=DIM)


def batch(step: int = 0, size: int = 6) -> Batch:
    return Batch(size, StepRNG(0, step), real=torch.randn(size, *SHAPE))


def lengths(model: GAN, data: Batch, count: int) -> Tensor:
    """|J^T y| of each sample: the root of the mean over style inputs of |W_l^T y|^2, by loops."""
    directions = data.rng.normal("path length", data.size, *SHAPE).flatten(1) / math.sqrt(
        SHAPE[1] * SHAPE[2]
    )
    weight = model.generators["main"].weight
    rows = []
    for y in directions[:count]:
        squares = [(w.T @ y).square().sum() for w in weight]
        rows.append((sum(squares) / STYLES).sqrt())
    return torch.stack(rows)


def test_the_fake_generator_is_a_mapped_one(model: GAN) -> None:
    assert isinstance(model.generators["main"], MappedGenerator)


@pytest.mark.parametrize(("shrink", "count"), [(1, 6), (2, 3), (100, 1)])
def test_lengths_of_a_linear_synthesis_by_hand(shrink: int, count: int, model: GAN) -> None:
    regularizer = PathLength(weight=3.0, decay=0.25, batch_shrink=shrink)
    regularizer.mean_length.fill_(4.0)
    data = batch()
    expected = lengths(model, data, count)
    target = 0.75 * 4.0 + 0.25 * expected.mean()
    penalty = regularizer.penalty(model, data, {})
    torch.testing.assert_close(penalty, 3.0 * (expected - target).square().mean())
    torch.testing.assert_close(regularizer.mean_length, target.detach())
    assert not regularizer.mean_length.requires_grad


def test_gradients_flow_through_the_part_of_the_average_that_is_the_batchs(model: GAN) -> None:
    regularizer = PathLength(weight=1.0, decay=0.25, batch_shrink=1)
    data, weight = batch(), model.generators["main"].weight
    (ours,) = torch.autograd.grad(regularizer.penalty(model, data, {}), weight)
    expected = lengths(model, data, 6)
    (theirs,) = torch.autograd.grad((expected - 0.25 * expected.mean()).square().mean(), weight)
    torch.testing.assert_close(ours, theirs)
    expected = lengths(model, data, 6)
    (without,) = torch.autograd.grad(
        (expected - 0.25 * expected.mean().detach()).square().mean(), weight
    )
    assert not torch.allclose(ours, without)


def test_the_average_moves_at_every_penalty_and_is_saved(model: GAN) -> None:
    regularizer = PathLength(decay=0.01, batch_shrink=1)
    expected = 0.0
    for step in range(3):
        regularizer.penalty(model, batch(step), {})
        mean = float(lengths(model, batch(step), 6).mean().detach())
        expected = 0.99 * expected + 0.01 * mean
        assert float(regularizer.mean_length) == pytest.approx(expected, rel=1e-5)
    assert regularizer.log_values()["mean_length"] is regularizer.mean_length
    again = PathLength()
    again.load_state_dict(regularizer.state_dict())
    assert float(again.mean_length) == pytest.approx(expected, rel=1e-5)


def test_a_constant_synthesis_is_as_far_from_the_average_as_the_average_is_long(model: GAN) -> None:
    regularizer = PathLength(weight=1.0, decay=0.0, batch_shrink=1)
    regularizer.mean_length.fill_(2.0)
    nn.init.zeros_(model.generators["main"].weight)
    torch.testing.assert_close(regularizer.penalty(model, batch(), {}), torch.tensor(4.0))


def test_its_gradient_reaches_no_discriminator(model: GAN) -> None:
    penalty = PathLength().penalty(model, batch(), {})
    discriminator = list(model.discriminators.parameters())
    found = torch.autograd.grad(
        penalty, [*discriminator, model.generators["main"].weight], allow_unused=True
    )
    assert all(gradient is None for gradient in found[:-1])
    assert found[-1].abs().sum() > 0


def small(*overrides: str) -> list[str]:
    widths = [
        f"{side}.{key}"
        for side in ("generator", "discriminator")
        for key in ("width=4", "max_width=8")
    ]
    return [
        "model=stylegan2",
        "data=digits",
        "model.latent_dim=8",
        "generator.style_dim=8",
        *widths,
        *overrides,
    ]


def test_only_generators_with_a_mapping_have_path_lengths(tiny: Callable[..., DictConfig]) -> None:
    with pytest.raises(
        ValueError, match="needs a generator with a mapping, such as generator=stylegan2"
    ) as refused:
        build(tiny("model=dcgan", "data=digits", "regularizer=path_length"))
    assert "\n" not in str(refused.value)
    assert "got DCGANGenerator" in str(refused.value)


def fitted(config: DictConfig) -> GANModule:
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    return module


def test_it_is_applied_every_fourth_step(tiny: Callable[..., DictConfig]) -> None:
    module = fitted(tiny(*small(), "trainer.max_steps=4"))
    assert float(module.generator_regularizers["path_length"].mean_length) > 0
    assert module.generator_regularizers["path_length"].every == 4
    assert module.regularizers["realism"]["r1"].every == 16
    assert all(p.isfinite().all() for p in module.parameters())
    other = fitted(tiny(*small(), "trainer.max_steps=3"))
    assert float(other.generator_regularizers["path_length"].mean_length) == 0


@pytest.mark.parametrize(
    "more", [["model=stylegan2", "loss=hinge"], ["accumulate=2"], ["loss.n_generator=2"]]
)
def test_stylegan2_trains_with_other_choices(
    more: list[str], tiny: Callable[..., DictConfig]
) -> None:
    refused = "accumulate=2" in more  # the mean length of a batch is not a mean over its parts
    config = tiny(*small(*more), "trainer.max_steps=2", "regularizer.r1.every=1")
    if refused:
        with pytest.raises(ValueError, match="accumulate"):
            fitted(config)
        return
    module = fitted(config)
    assert all(p.isfinite().all() for p in module.parameters())
    assert module.model.generators["main"].mean_style.abs().sum() > 0
    averaged = module.ema.generators["main"].mean_style
    torch.testing.assert_close(averaged, module.model.generators["main"].mean_style)


@pytest.mark.parametrize("model", ["cgan_single", "acgan", "cgan"])
def test_conditional_models_take_stylegan2s_networks(
    model: str, tiny: Callable[..., DictConfig]
) -> None:
    networks = [o for o in small() if not o.startswith("model=")]
    fusion = [] if model == "acgan" else ["model.fusion=projection"]
    chosen = [
        f"model={model}",
        "generator=stylegan2",
        "discriminator=stylegan2",
        *fusion,
        *networks,
    ]
    module = fitted(tiny(*chosen, "regularizer=[path_length,r1]", "trainer.max_steps=4"))
    assert all(p.isfinite().all() for p in module.parameters())
    assert module.model.generators["main"].mapping_network.embed is not None
