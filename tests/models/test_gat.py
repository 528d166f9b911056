"""GAT: noise levels, what the discriminator is given, one augmentation for all levels, the presets."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.augmentation.base import Augmentation, AugmentedDiscriminator
from gan_zoo.augmentation.diffaugment import DiffAugment
from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, DiscriminatorOutput, SampleRequest
from gan_zoo.losses.relativistic import RelativisticPaired
from gan_zoo.models.gat import (
    GAT,
    ConditionalGAT,
    NoisyLevels,
    cumulative_mixing,
    noise_levels,
)
from gan_zoo.networks.condition_encoders import OneHotCondition
from gan_zoo.networks.dcgan import DCGANGenerator
from gan_zoo.networks.vit import ViTDiscriminator, ViTGenerator
from gan_zoo.training.optimizers import adamw_by_width

SHAPE = [3, 8, 8]
TINY = {"width": 8, "depth": 4, "heads": 2}
GENERATOR = partial(ViTGenerator, sample_shape=SHAPE, **TINY)
CRITIC = partial(ViTDiscriminator, **TINY)
SMALL = [f"{side}.{n}" for side in ("generator", "discriminator") for n in ("width=8", "heads=2")]


def model(**options: object) -> GAT:
    return GAT(GENERATOR, CRITIC, SHAPE, latent_dim=6, **options)


def batch(size: int = 4) -> Batch:
    return Batch(size, StepRNG(0, 0), torch.rand(size, *SHAPE) * 2 - 1)


class Recording(nn.Module):
    """Keeps what it is given."""

    def forward(self, x: Tensor, *condition: Tensor) -> DiscriminatorOutput:
        self.seen, self.condition = x, condition
        return DiscriminatorOutput(x.flatten(1).mean(1), x)


# ----------------------------------------------------------------------------- noise


def test_noise_levels_by_hand() -> None:
    assert noise_levels(4) == pytest.approx([0.885, 0.76, 0.51, 0.01])
    assert noise_levels(2) == pytest.approx([0.885, 0.01])
    assert noise_levels(1) == pytest.approx([0.01])


def test_noise_is_cumulative() -> None:
    """Coarser noise is finer noise, scaled as images are, plus independent noise."""
    t, mixing = noise_levels(4), cumulative_mixing(4).double()
    covariance = mixing @ mixing.T
    for i in range(4):
        for j in range(i, 4):
            expected = (1 - t[i]) / (1 - t[j]) * t[j] ** 2
            assert float(covariance[i, j]) == pytest.approx(expected, rel=1e-5)
    assert torch.equal(mixing, mixing.triu()), "a level has no noise of coarser ones"


def test_levels_fade_and_get_noise_of_their_strength() -> None:
    inner = Recording()
    wrapped = NoisyLevels(inner, levels=4)
    x = torch.randn(50, 12, 8, 8)
    output = wrapped(x)
    assert output.x is x, "penalties differentiate by the images"
    for i, t in enumerate(noise_levels(4)):
        noise = inner.seen[:, 3 * i : 3 * i + 3] - (1 - t) * x[:, 3 * i : 3 * i + 3]
        assert float(noise.std()) == pytest.approx(t, rel=0.03)
        assert float(noise.mean()) == pytest.approx(0, abs=0.03)
    first = inner.seen
    wrapped(x)
    assert not torch.equal(first, inner.seen), "new in every pass"


# ------------------------------------------------------------------ what is compared


def test_fakes_are_all_levels_and_samples_the_last() -> None:
    gat, data = model(), batch()
    fakes = gat.generate(data)
    assert fakes["fake"].shape == (4, 3, 8, 8)
    assert fakes["coarse"].shape == (4, 9, 8, 8)
    sample = gat.sample(gat.request_for(data), gat.generators)
    torch.testing.assert_close(sample, fakes["fake"])
    (term,) = gat.adversarial_terms(data, fakes)
    assert term.name == "realism"
    torch.testing.assert_close(term.fake[:, 9:], sample)
    assert torch.equal(term.fake[:, :9], fakes["coarse"])
    for level in term.real.chunk(4, 1):
        assert torch.equal(level, data.real)


def test_gradients_stay_on_their_side_and_reach_every_parameter() -> None:
    gat, data, loss = model(), batch(), RelativisticPaired()
    fakes = gat.generate(data)
    (term,) = gat.adversarial_terms(data, {name: fake.detach() for name, fake in fakes.items()})
    loss.discriminator(term.discriminate_real(), term.discriminate_fake()).backward()
    assert all(p.grad.abs().sum() > 0 for p in gat.discriminators.parameters() if p.ndim > 1)
    assert all(p.grad is None for p in gat.generators.parameters())
    gat.discriminators.requires_grad_(False)
    (term,) = gat.adversarial_terms(data, fakes)
    loss.generator(term.discriminate_fake(), term.discriminate_real()).backward()
    assert all(p.grad.abs().sum() > 0 for p in gat.generators.parameters())


def test_the_condition_reaches_both_sides() -> None:
    gat = ConditionalGAT(
        GENERATOR,
        CRITIC,
        SHAPE,
        condition=lambda: OneHotCondition(5),
        fusion="projection",
        latent_dim=6,
    )
    assert gat.term_names == ("match",)
    data = batch()
    data.label = torch.tensor([0, 1, 2, 3])
    fakes = gat.generate(data)
    (term,) = gat.adversarial_terms(data, fakes)
    assert term.real_condition is data.label
    torch.manual_seed(0)
    score = term.discriminate_fake().score
    data.label = data.label + 1
    (other,) = gat.adversarial_terms(data, fakes)
    torch.manual_seed(0)
    assert not torch.allclose(other.discriminate_fake().score, score)
    assert not torch.allclose(gat.generate(data)["fake"], fakes["fake"])


# --------------------------------------------------------------------- augmentation


def augmented(inner: nn.Module, augmentation: Augmentation, levels: int) -> AugmentedDiscriminator:
    return AugmentedDiscriminator(inner, augmentation).insert(partial(NoisyLevels, levels=levels))


def test_all_levels_are_augmented_alike_and_separately() -> None:
    """Each level becomes what it would become alone, with the same draw; none mixes with others."""
    augmentation = DiffAugment()
    network = augmented(Recording(), augmentation, levels=4)
    levels = [torch.randn(16, 3, 8, 8) for _ in range(4)]
    torch.manual_seed(1)
    (changed,) = network.augment(torch.cat(levels, 1))
    after = torch.rand(())
    for level, found in zip(levels, changed.chunk(4, 1), strict=True):
        torch.manual_seed(1)
        assert torch.equal(found, augmentation(level, 3))
    assert torch.equal(torch.rand(()), after), "random numbers go on as after one level"


def test_conditions_that_are_images_move_along_with_all_levels() -> None:
    network = augmented(Recording(), DiffAugment(), levels=2)
    x, condition = torch.randn(16, 6, 8, 8), torch.randn(16, 2, 8, 8)
    torch.manual_seed(1)
    _, moved = network.augment(x, condition)
    torch.manual_seed(1)
    (_, expected) = AugmentedDiscriminator(Recording(), DiffAugment()).augment(x[:, :3], condition)
    assert torch.equal(moved, expected)


def test_noise_comes_after_the_augmentation() -> None:
    class Black(Augmentation):
        def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
            return torch.zeros_like(x)

    inner = Recording()
    network = augmented(inner, Black(), levels=4)
    x = torch.randn(50, 12, 8, 8)
    assert network(x).x is x
    deviations = [float(level.std()) for level in inner.seen.chunk(4, 1)]
    assert deviations == pytest.approx(noise_levels(4), rel=0.03)


# --------------------------------------------------------------------------- presets


def test_the_rate_falls_with_the_width() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimizer = adamw_by_width([weight], width=384)
    assert isinstance(optimizer, torch.optim.AdamW)
    (group,) = optimizer.param_groups
    assert group["lr"] == pytest.approx(4e-4)
    assert tuple(group["betas"]) == (0.0, 0.99)
    assert group["weight_decay"] == 0


def test_the_preset_is_the_papers_and_trains(tiny) -> None:
    small = [*SMALL, "data=digits", "trainer.max_steps=1"]
    trainer, module, data = build(tiny("model=gat", "loss=rpgan", *small))
    network = module.model.discriminators["main"]
    assert isinstance(network.augmentation, DiffAugment)
    assert isinstance(network.discriminator, NoisyLevels)
    penalties = module.regularizers["realism"]
    assert {name: (r.gamma, r.step, r.every) for name, r in penalties.items()} == {
        "r1_approx": (0.1, 0.01, 1),
        "r2_approx": (0.1, 0.01, 1),
    }
    assert module.clip_grad_norm == 1
    rates = [optimizer.param_groups[0]["lr"] for optimizer in module.configure_optimizers()]
    assert rates == pytest.approx([2e-4 * 768 / 8] * 2)
    trainer.fit(module, datamodule=data)
    assert module.clock.generator_steps == 1
    assert module.sample(SampleRequest(3, StepRNG(0, 0))).shape == (3, 1, 8, 8)


def test_the_conditional_preset_trains(tiny) -> None:
    trainer, module, data = build(
        tiny("model=gat_conditional", "loss=rpgan", *SMALL, "trainer.max_steps=1")
    )
    trainer.fit(module, datamodule=data)
    request = SampleRequest(3, StepRNG(0, 0), label=torch.tensor([0, 1, 2]))
    assert module.sample(request).shape == (3, 1, 8, 8)


def test_packs_see_all_levels(tiny) -> None:
    small = [*SMALL, "data=digits", "trainer.max_steps=1", "pack=2"]
    trainer, module, data = build(tiny("model=gat", "loss=rpgan", *small))
    trainer.fit(module, datamodule=data)
    assert all(p.isfinite().all() for p in module.parameters())
    assert module.clock.generator_steps == 1


def test_what_cannot_work_is_named(tiny) -> None:
    with pytest.raises(ValueError, match="use model=gan for vectors"):
        GAT(GENERATOR, CRITIC, [2])
    with pytest.raises(ValueError, match="model=gat needs a generator with levels: use generator"):
        GAT(partial(DCGANGenerator, sample_shape=SHAPE), CRITIC, SHAPE)
    with pytest.raises(ValueError, match="that of GAT scores 4 levels: use another regularizer"):
        build(tiny("model=gat", "loss=rpgan", *SMALL, "data=digits", "regularizer=[zcr]"))
