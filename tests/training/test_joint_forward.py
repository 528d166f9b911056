"""Reals and fakes in one pass of the critic: the same verdicts and training, and only where a critic allows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress

import pytest
import torch
from torch import nn

from gan_zoo.augmentation.base import AugmentedCritic
from gan_zoo.config.build import build
from gan_zoo.config.compose import instantiate
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from gan_zoo.core.types import Critique, Duel
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.networks.infogan import InfoGANDiscriminator
from gan_zoo.networks.mlp import MLPDiscriminator
from gan_zoo.networks.packing import PackedCritic
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.training import joint_forward as judging
from gan_zoo.training.joint_forward import judge_both, judges_apart

CRITICS = [name for name in choices("discriminator", CONF) if name != "none"]
NORMS = ("none", "layer", "instance", "batch", "spectral")
SHAPE = [1, 32, 32]
SMALL = {"width": 16, "layers": 1}
ALL = ["none", "layer", "instance"]
KEPT = {  # the norms with which a critic keeps samples apart
    "autoencoder": ALL,
    "dcgan": ALL,
    "infogan": ["none", "layer"],
    "mlp": ["none"],
    "patchgan": ALL,
    "r3gan": [None],
    "resnet": ALL,
}


def critics(composed: Callable, name: str) -> dict[str | None, nn.Module]:
    """The critic with every norm that it takes."""
    make = instantiate(composed(f"discriminator={name}", "data=digits", "data.image_size=32").discriminator)
    takes = inspect.signature(make.func).parameters
    make.keywords.update({key: value for key, value in SMALL.items() if key in takes})
    if "norm" not in takes:
        return {None: make(sample_shape=SHAPE)}
    made: dict[str | None, nn.Module] = {}
    for norm in NORMS:
        with suppress(ValueError):  # not every critic takes every norm
            made[norm] = make(sample_shape=SHAPE, norm=norm)
    return made


@pytest.mark.parametrize("name", CRITICS)
def test_critics_keep_what_they_promise(name: str, composed) -> None:
    torch.manual_seed(0)
    made = critics(composed, name)
    kept = [norm for norm, critic in made.items() if judges_apart(critic)]
    assert kept == KEPT.get(name, kept)
    for critic in (made[norm] for norm in kept):
        x = torch.randn(6, *SHAPE)
        together = critic(x)
        for part, alone in ((slice(0, 2), critic(x[:2])), (slice(2, 6), critic(x[2:]))):
            torch.testing.assert_close(together.score[part], alone.score)
            if alone.aux is not None:
                torch.testing.assert_close(together.aux[part], alone.aux)
            for feature, same in zip(together.features, alone.features, strict=True):
                torch.testing.assert_close(feature[part], same)


class Bare(nn.Sequential):
    """A critic that promises nothing."""


class Centred(MLPDiscriminator):
    """Another forward, of which nothing was promised."""

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> Critique:
        return super().forward(x - x.mean(0), condition)


class Promising(nn.Sequential):
    samples_apart = True


def test_a_promise_counts() -> None:
    assert judges_apart(Promising(nn.Flatten(), nn.Linear(1024, 1)))
    assert judges_apart(Promising(nn.MultiheadAttention(4, 2), nn.InstanceNorm2d(1)))


class WithDropout(MLPDiscriminator):
    def __init__(self) -> None:
        super().__init__(SHAPE, width=8)
        self.layers.append(nn.Dropout(0.1))


@pytest.mark.parametrize(
    "critic",
    [
        Bare(nn.Flatten(), nn.Linear(1024, 1)),
        WithDropout(),
        DCGANDiscriminator(SHAPE, width=4),
        DCGANDiscriminator(SHAPE, width=4, norm="spectral"),
        MLPDiscriminator(SHAPE, width=4, minibatch="stddev"),
        Centred(SHAPE, width=4),
        Promising(nn.Flatten(), nn.utils.spectral_norm(nn.Linear(1024, 1))),
        Promising(nn.Flatten(), nn.LazyBatchNorm1d()),
        Promising(nn.InstanceNorm2d(1, track_running_stats=True)),
        Promising(nn.MultiheadAttention(4, 2, dropout=0.5)),
        Promising(nn.RReLU()),
        InfoGANDiscriminator(SHAPE, width=4, hidden=8),
        PackedCritic(MLPDiscriminator, SHAPE, pack=2),
        AugmentedCritic(MLPDiscriminator(SHAPE, width=4), nn.Identity()),
    ],
    ids=lambda critic: type(critic).__name__,
)
def test_critics_that_mix_samples_or_change_in_a_pass(critic: nn.Module) -> None:
    assert not judges_apart(critic)


@pytest.mark.parametrize("told", [False, True], ids=["", "told a picture"])
def test_both_views_are_those_of_two_passes(told: bool) -> None:
    torch.manual_seed(0)
    critic = PatchGAN(SHAPE, condition_channels=2 * told, layers=1, width=4)
    conditions = torch.randn(2, 3, 2, 32, 32) if told else (None, None)
    duel = Duel("realism", critic, *torch.randn(2, 3, *SHAPE), *conditions)
    two, one = judge_both(duel, together=False), judge_both(duel, together=True)
    for ours, theirs, x in zip(one, two, (duel.real, duel.fake), strict=True):
        assert ours.x is x
        torch.testing.assert_close((ours.score, ours.features), (theirs.score, theirs.features))


def test_what_further_heads_say_is_shared_out() -> None:
    critic = MLPDiscriminator([2], width=4, aux_outputs=3)
    duel = Duel("realism", critic, torch.randn(5, 2), torch.randn(5, 2))
    for ours, theirs in zip(judge_both(duel, together=True), judge_both(duel, together=False), strict=True):
        torch.testing.assert_close(ours.aux, theirs.aux)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch sizes that critics saw."""
    seen: list[int] = []

    def watched(forward: Callable) -> Callable:
        def counted(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> Critique:
            seen.append(len(x))
            return forward(self, x, condition)

        return counted

    monkeypatch.setattr(MLPDiscriminator, "forward", watched(MLPDiscriminator.forward))
    return seen


def trained(config) -> dict[str, torch.Tensor]:
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    return module.game.state_dict()


@pytest.mark.parametrize(
    ("overrides", "one", "two"),
    [
        (["model=gan", "data=ring", "loss=lsgan"], [16, 8], [8, 8, 8]),
        (["model=gan", "data=digits", "loss=rpgan"], [16, 8, 8], [8, 8, 8, 8]),
        (["model=gan", "data=ring", "loss=wgan_gp", "loss.n_critic=1"], [16, 8, 8], [8, 8, 8, 8]),
        (["model=gan", "data=ring", "regularizer=r1"], [8, 8, 8], [8, 8, 8]),
        (["model=gan", "data=ring", "regularizer=r1", "regularizer.r1.every=2"], [16, 8], [8, 8, 8]),
        (["model=gan", "data=ring", "++discriminator.norm=spectral"], [8, 8, 8], [8, 8, 8]),
    ],
    ids=["lsgan", "rpgan", "gradient penalty", "R1", "lazy R1", "spectral"],
)
def test_training_is_the_same(overrides: list[str], one: list[int], two: list[int], tiny, passes, monkeypatch) -> None:
    config = tiny(*overrides, "trainer.max_steps=5", "optim=sgd")  # Adam would blow up the rounding of gradients of 0
    together = trained(config)
    assert passes[: len(one)] == one
    passes.clear()
    monkeypatch.setattr(judging, "LARGE", 0)
    apart = trained(config)
    assert passes[: len(two)] == two
    for name, value in apart.items():
        torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_compiled_critics_see_one_size_of_batch(tiny) -> None:
    overrides = "model=gan", "data=ring"
    assert len(build(tiny(*overrides))[1].judging_apart) == 1
    assert not build(tiny(*overrides, "trainer=compiled"))[1].judging_apart


def test_unequal_numbers_are_judged_by_themselves() -> None:
    duel = Duel("realism", MLPDiscriminator([2], width=4), torch.randn(6, 2), torch.randn(2, 2))
    assert [len(view.score) for view in judge_both(duel, together=True)] == [6, 2]


def test_large_reals_are_judged_by_themselves(passes) -> None:
    critic = MLPDiscriminator([2**13], width=4)
    judge_both(Duel("realism", critic, *torch.randn(2, 8, 2**13)), together=True)
    judge_both(Duel("realism", critic, *torch.randn(2, 16, 2**13)), together=True)
    assert passes == [16, 16, 16]
