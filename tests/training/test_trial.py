"""The usual mistakes in a part of one's own are answered with the contract, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from gan_zoo.config.build import build
from gan_zoo.config.compose import get_object
from gan_zoo.core.errors import ConfigError
from gan_zoo.losses.base import Loss
from gan_zoo.metrics.base import Evaluator
from gan_zoo.regularizers.base import Regularizer

HERE = "tests.training.test_trial"


class Good(Loss):
    def discriminator(self, real, fake):
        return (fake.score - real.score).mean()

    def generator(self, fake, real=None):
        return -fake.score.mean()


class NoMean(Good):
    def discriminator(self, real, fake):
        return fake.score - real.score


class OfTensors(Good):
    def discriminator(self, real, fake):
        return (fake - real).mean()


class Swapped(Good):
    def generator(self, real, fake=None):
        return -fake.score.mean()


class Logarithm(Good):
    def discriminator(self, real, fake):
        return -real.score.log().mean()


class Detached(Good):
    def generator(self, fake, real=None):
        return -fake.score.detach().mean()


class HalfWritten(Loss):
    def discriminator(self, real, fake):
        return (fake.score - real.score).mean()


class NoBase:
    def discriminator(self, real, fake):
        return (fake.score - real.score).mean()


class NoInit(Good):
    def __init__(self) -> None:
        self.part = nn.Linear(1, 1)


class BadPenalty(Regularizer):
    def penalty(self, term, real, fake, rng):
        return real.score.square()


class Vectors(nn.Module):
    def __init__(self, latent_dim: int, size: int = 3, last: str = "Tanh", wide: int = 64) -> None:
        super().__init__()
        self.size, self.layer, self.last = size, nn.Linear(latent_dim, wide), getattr(nn, last)()

    def forward(self, z, condition=None):
        x = self.last(self.layer(z))
        return x if self.size == 0 else x.view(len(z), 1, self.size, -1)


class BadScores(nn.Module):
    def __init__(self, **kwargs) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 1)

    def forward(self, x):
        return self.layer(x.flatten(1)).mean()


class Unwritten(Evaluator):
    num_samples, best = 4, ("x", "min")


def no_source(**options) -> int:
    return 3


LOSSES = {
    "NoMean": r"NoMean.discriminator: .* returns one number to minimize.*; got a tensor of shape \[4\]",
    "OfTensors": r"OfTensors.discriminator failed with TypeError: .*take DiscriminatorOutputs, whose .score are raw scores",
    "Swapped": r"Swapped.generator failed with AttributeError: .*generator\(fake, real=None\)",
    "Logarithm": r"Logarithm.discriminator: .*; got nan of scores between -2 and 2: a logarithm or a root",
    "Detached": r"Detached.generator: .*; got a number without a gradient",
    "HalfWritten": r"HalfWritten.generator is not written: .*generator\(fake, real=None\)",
    "NoBase": r"loss.adversarial must be a subclass of gan_zoo.losses.base.Loss, got a NoBase",
    "NoInit": r"NoInit.__init__ must begin with super\(\).__init__\(\)",
}


def own_loss(name: str) -> list[str]:
    return ["~loss.adversarial", f"+loss.adversarial={{_target_: {HERE}.{name}}}"]


@pytest.mark.parametrize("name", LOSSES)
def test_mistakes_in_a_loss(name: str, tiny) -> None:
    with pytest.raises(ConfigError, match=LOSSES[name]) as refused:
        build(tiny("data=digits", *own_loss(name)))
    assert "\n" not in str(refused.value)


def test_a_good_loss_is_taken(tiny) -> None:
    build(tiny("data=digits", *own_loss("Good")))


def test_mistakes_in_a_regularizer(tiny) -> None:
    own = f"+regularizer.own={{_target_: {HERE}.BadPenalty}}"
    with pytest.raises(
        ConfigError, match=r"BadPenalty.penalty: .* one number, or None.*; got a tensor of shape"
    ):
        build(tiny("data=digits", own))


GENERATORS = {
    "half the size": (
        "{size: 4}",
        r"Vectors.forward: .*samples \[B, 1, 8, 8\].*; got samples of shape \[1, 4, 16\]",
    ),
    "vectors": ("{size: 0}", r"Vectors.forward: .*; got a tensor of shape \[4, 64\] for 4 samples"),
    "wrong width": (
        "{wide: 63, size: 8}",
        r"Vectors.forward failed with RuntimeError: .*returns samples \[B, 1, 8, 8\]",
    ),
}


def own_network(group: str, kind: str, arguments: str = "{}", partial: str = "true") -> list[str]:
    node = f"{{_target_: {HERE}.{kind}, _partial_: {partial}{', ' if arguments != '{}' else ''}{arguments[1:-1]}}}"
    return ["model=gan", "data=digits", "data.image_size=8", f"~{group}", f"+{group}={node}"]


@pytest.mark.parametrize("name", GENERATORS)
def test_mistakes_in_a_generator(name: str, tiny) -> None:
    arguments, message = GENERATORS[name]
    with pytest.raises(ConfigError, match=message):
        build(tiny(*own_network("generator", "Vectors", arguments)))


def test_a_generator_outside_the_datas_range_is_warned_of(tiny, capsys) -> None:
    build(tiny(*own_network("generator", "Vectors", "{size: 8, last: Sigmoid}")))
    assert "Vectors returns values in [0" in capsys.readouterr().err
    build(tiny(*own_network("generator", "Vectors", "{size: 8}")))
    assert "returns values" not in capsys.readouterr().err


def test_a_network_that_is_no_factory(tiny) -> None:
    node = "{_target_: torch.nn.Identity}"
    with pytest.raises(ConfigError, match=r"generator needs _partial_: true .*; got a Identity"):
        build(tiny("model=gan", "data=digits", "~generator", f"+generator={node}"))


def test_mistakes_in_a_discriminator(tiny) -> None:
    with pytest.raises(
        ConfigError, match=r"BadScores.forward: .*returns scores .*; got a single number"
    ):
        build(tiny(*own_network("discriminator", "BadScores")))


def test_mistakes_in_a_metric_and_in_data(composed) -> None:
    with pytest.raises(ConfigError, match=r"Unwritten.prepare is not written"):
        build(composed("data=digits", "metric=none", f"+metric.own={{_target_: {HERE}.Unwritten}}"))
    with pytest.raises(ValueError, match=r"data.source must return a .*Source, got a int"):
        build(composed("data=digits", f"data.source._target_={HERE}.no_source"))


def test_code_that_is_not_here(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"no module 'mine' here; parts .* in .*{tmp_path.name}"):
        get_object("mine.Loss")


def test_trying_moves_no_number(tiny) -> None:
    """The trial works on copies: weights, running statistics and random numbers are what they were."""
    states = []
    for loss in (own_loss("Good"), ["loss=nonsaturating"]):
        _, module, _ = build(tiny("data=digits", "model=dcgan", *loss))
        states.append(module.model.state_dict())
    assert all(
        nn.functional.mse_loss(a.float(), b.float()) == 0
        for a, b in zip(*(s.values() for s in states), strict=True)
    )
