"""Penalties of the generators: values and gradients by hand, and where no gradient may go."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, MappedGenerator
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.gan import GAN
from gan_zoo.regularizers.mode_seeking import ModeSeeking
from gan_zoo.regularizers.orthogonal import OrthogonalGenerator
from gan_zoo.regularizers.path_length import PathLength
from gan_zoo.regularizers.zcr import LatentConsistency
from gan_zoo.training.module import GANModule

SIZE = 6
RNG = StepRNG(0, 3)


class LinearGenerator(nn.Module):
    """G(z) = W z, as images of one row."""

    def __init__(self, latent_dim: int = 3, pixels: int = 4) -> None:
        super().__init__()
        self.layer = nn.Linear(latent_dim, pixels, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layer(latents).view(len(latents), 1, 1, -1)


class MappedLinear(LinearGenerator):
    """w = z for both style inputs, G = W (w_1 + w_2)."""

    num_styles = 2

    def __init__(self) -> None:
        super().__init__()
        self.mean_style = torch.zeros(3)

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return latents[:, None].expand(-1, 2, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        return self.layer(styles.sum(1)).view(len(styles), 1, 1, -1)

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesis(self.mapping(latents))


class Square(nn.Module):
    """D(x) = v . x^2, which has a gradient everywhere."""

    def __init__(self, pixels: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 2.0, pixels))

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1).square() * self.weight).sum(1)


def gan(generator: type[nn.Module] = LinearGenerator) -> GAN:
    torch.manual_seed(0)
    return GAN(lambda latent_dim: generator(), Square, latent_dim=3)


def batch() -> Batch:
    return Batch(SIZE, RNG, torch.randn(SIZE, 1, 1, 4, generator=torch.Generator().manual_seed(1)))


def weights(model: GAN) -> Tensor:
    return model.generators["main"].layer.weight


def test_mode_seeking_by_hand() -> None:
    model, data = gan(), batch()
    first = RNG.normal("latents", SIZE, 3)
    second = RNG.derive("mode seeking").normal("latents", SIZE, 3)
    between_samples = ((first - second) @ weights(model).T).abs().mean()
    by_hand = 2.0 / (between_samples / (first - second).abs().mean() + 1e-5)
    penalty = ModeSeeking(2.0).penalty(model, data, model.generate(data))
    torch.testing.assert_close(penalty, by_hand)
    (expected,) = torch.autograd.grad(by_hand, weights(model))
    (gradient,) = torch.autograd.grad(penalty, weights(model))
    torch.testing.assert_close(gradient, expected)
    assert (weights(model) - gradient).abs().sum() > weights(model).abs().sum(), (
        "samples move apart"
    )


def test_zcr_by_hand() -> None:
    model, data = gan(), batch()
    regularizer = LatentConsistency(0.5, 5.0, std=0.1)
    latents, noise = RNG.normal("latents", SIZE, 3), RNG.normal("zcr", SIZE, 3)
    fakes = model.generate(data)
    penalty = regularizer.penalty(model, data, fakes)
    by_hand = -0.5 * (0.1 * noise @ weights(model).T).square().mean()
    torch.testing.assert_close(penalty, by_hand)
    gradients = [
        torch.autograd.grad(value, weights(model), retain_graph=True)[0]
        for value in (penalty, by_hand)
    ]
    torch.testing.assert_close(*gradients)

    detached = {"fake": fakes["fake"].detach()}
    of_discriminator = regularizer.discriminator_penalty(model, data, detached)
    scores, moved = (
        ((z @ weights(model).detach().T).square() * model.discriminators["main"].weight).sum(1)
        for z in (latents, latents + 0.1 * noise)
    )
    torch.testing.assert_close(of_discriminator, 5 * (scores - moved).square().mean())
    of_discriminator.backward()
    assert weights(model).grad is None


def test_orthogonality_of_the_generator_by_hand() -> None:
    model = gan()
    products = weights(model) @ weights(model).T
    by_hand = 0.1 * (products * (1 - torch.eye(4))).square().sum()
    penalty = OrthogonalGenerator(0.1).penalty(model, batch(), {})
    torch.testing.assert_close(penalty, by_hand)
    gradients = [
        torch.autograd.grad(value, weights(model), retain_graph=True)[0]
        for value in (penalty, by_hand)
    ]
    torch.testing.assert_close(*gradients)
    products = products.detach() * (1 - torch.eye(4))
    torch.testing.assert_close(gradients[0], 4 * 0.1 * products @ weights(model))


def test_path_length_by_hand() -> None:
    """J_w^T y = W^T y at both style inputs, so the length is |W^T y|; the target has moved towards its mean."""
    model, data = gan(MappedLinear), batch()
    assert isinstance(model.generators["main"], MappedGenerator)
    regularizer = PathLength(weight=2.0, decay=0.25, batch_shrink=2)
    directions = RNG.normal("path length", SIZE, 1, 1, 4)[: SIZE // 2].flatten(1) / 2  # sqrt(1 * 4)
    lengths = (directions @ weights(model)).norm(dim=1)
    target = 0.25 * lengths.mean()
    by_hand = 2.0 * (lengths - target).square().mean()
    penalty = regularizer.penalty(model, data, {})
    torch.testing.assert_close(penalty, by_hand)
    torch.testing.assert_close(regularizer.mean_length, target.detach())
    gradients = [
        torch.autograd.grad(value, weights(model), retain_graph=True)[0]
        for value in (penalty, by_hand)
    ]
    torch.testing.assert_close(*gradients)

    # The average continues from there, and is saved.
    regularizer.penalty(model, data, {})
    torch.testing.assert_close(
        regularizer.mean_length, torch.lerp(target, lengths.mean(), 0.25).detach()
    )
    assert "mean_length" in regularizer.state_dict()


@pytest.mark.parametrize("make", [ModeSeeking, LatentConsistency, OrthogonalGenerator, PathLength])
def test_no_gradient_reaches_the_other_side(make) -> None:
    model, data = gan(MappedLinear), batch()
    module = GANModule(model, NonSaturating(), {"own": make(every=2)}, ema=None)
    fakes = model.generate(data)
    terms, _ = module.adversarial.discriminator_terms(data, fakes, 2)
    sum(term for name, term in terms.items() if name == "d/own") if "d/own" in terms else None
    if "d/own" in terms:
        terms["d/own"].backward()
        assert weights(model).grad is None
    for parameter in model.parameters():
        parameter.grad = None
    generator_terms = module.adversarial.generator_terms(data, fakes, 2)
    generator_terms["g/own"].backward()
    assert weights(model).grad.abs().sum() > 0
    assert model.discriminators["main"].weight.grad is None


def test_the_period_counts_generator_steps_and_weighs_the_penalty() -> None:
    model, data = gan(), batch()
    module = GANModule(model, NonSaturating(), {"own": OrthogonalGenerator(every=3)}, ema=None)
    found = [
        module.adversarial.generator_terms(data, model.generate(data), step) for step in range(1, 7)
    ]
    assert ["g/own" in terms for terms in found] == [False, False, True] * 2
    torch.testing.assert_close(
        found[2]["g/own"], 3 * OrthogonalGenerator().penalty(model, data, {})
    )


@pytest.mark.parametrize("model", ["aae", "vae"])
def test_models_that_do_not_train_on_samples_are_refused(model: str, tiny) -> None:
    with pytest.raises(ValueError, match="zcr needs a model that trains on samples of latents"):
        build(tiny(f"model={model}", "regularizer=[zcr]", "data=digits"))


def test_zcr_of_one_of_two_domains(tiny) -> None:
    overrides = ("model=cogan", "data=openmoji_lines", "data.image_size=32", "generator.width=4")
    trainer, module, data = build(tiny(*overrides, "regularizer=[zcr]", "trainer.max_steps=1"))
    trainer.fit(module, datamodule=data)


def test_generators_without_latents_or_mapping_are_refused() -> None:
    translator = gan()
    translator.latent_dim = None
    for name, regularizer in (("mode_seeking", ModeSeeking()), ("zcr", LatentConsistency())):
        with pytest.raises(
            ValueError,
            match=f"regularizer={name} compares samples of different latents, GAN has none",
        ):
            regularizer.check(translator)
    with pytest.raises(
        ValueError, match=r"path_length needs a generator with a mapping, .* got LinearGenerator"
    ):
        GANModule(gan(), NonSaturating(), {"path_length": PathLength()})
    with pytest.raises(ValueError, match="std must be > 0, got 0"):
        LatentConsistency(std=0)


def test_other_latents_of_one_step_are_reproducible() -> None:
    assert torch.equal(
        RNG.derive("a").normal("latents", 4, 2), RNG.derive("a").normal("latents", 4, 2)
    )
    assert not torch.equal(RNG.derive("a").normal("latents", 4, 2), RNG.normal("latents", 4, 2))
    halves = [
        replace(RNG, rank=rank, world_size=2).derive("a").normal("latents", 2, 2)
        for rank in range(2)
    ]
    assert torch.equal(torch.cat(halves), RNG.derive("a").normal("latents", 4, 2))
