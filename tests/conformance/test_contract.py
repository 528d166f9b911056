"""What losses and regularizers promise: which discriminators they take, what they refuse, what they call undecided."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from gan_zoo.losses.base import Loss
from gan_zoo.losses.began import BEGAN
from gan_zoo.losses.ebgan import EBGAN, pulling_away
from gan_zoo.losses.exponential import Exponential
from gan_zoo.losses.f_gan import DIVERGENCES, FGAN
from gan_zoo.losses.fisher import Fisher
from gan_zoo.losses.loss_sensitive import LossSensitive
from gan_zoo.regularizers.consistency import Consistency
from gan_zoo.regularizers.dragan import DRAGAN
from gan_zoo.regularizers.lecam import LeCam

from .zoo import CONF, LOSSES, REGULARIZERS, CodedCritic, critique


@pytest.mark.parametrize("name", ["ebgan", "began"])
def test_energies_need_an_autoencoder(name: str) -> None:
    with pytest.raises(
        ValueError, match="needs an autoencoder discriminator: add discriminator=autoencoder"
    ):
        LOSSES[name]().check(nn.Linear(2, 1))
    LOSSES[name]().check(CodedCritic(4))
    assert (
        "override /discriminator@_global_.discriminator: autoencoder"
        in (CONF / f"loss/{name}.yaml").read_text()
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Exponential(0.0), "limit must be > 0, got 0.0"),
        (lambda: EBGAN(0.0), "margin must be > 0"),
        (lambda: EBGAN(1.0, -1.0), "pulling_away must be >= 0"),
        (lambda: BEGAN(gamma=2.0), r"gamma must be in \[0, 1\], got 2.0"),
        (lambda: BEGAN(rate=0.0), "rate must be > 0"),
        (lambda: Fisher(0.0), "rho must be > 0"),
        (lambda: LossSensitive(-1.0), "margin_weight"),
        (lambda: LossSensitive(slope=2.0), "slope must be <= 1"),
        (
            lambda: FGAN("js"),
            "divergence must be one of kl, reverse_kl, pearson, .*, total_variation, got 'js'",
        ),
        (lambda: pulling_away(torch.ones(1, 3)), "batch of >= 2 samples, got 1"),
        (lambda: LeCam(decay=1.0), "decay must be in"),
        (lambda: DRAGAN(scale=-1.0), "scale must be >= 0"),
        (lambda: Consistency(shift=-1), "shift must be >= 0"),
        (lambda: DRAGAN(every=0), "every must be >= 1"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def accuracies(loss: Loss, real: torch.Tensor, fake: torch.Tensor) -> list[float]:
    return [fraction.item() for fraction in loss.accuracy(critique(real), critique(fake))]


def direction(loss: Loss) -> float:
    """1 if the loss takes high scores for real, -1 if low ones; an accuracy that is neither fails."""
    high, low = torch.tensor([6.0, 7.0, 8.0]), torch.tensor([-6.0, -7.0, -8.0])
    found = accuracies(loss, high, low), accuracies(loss, low, high)
    assert sorted(found) == [[0, 0], [1, 1]]
    return 1.0 if found[0] == [1, 1] else -1.0


@pytest.mark.parametrize("name", LOSSES)
def test_both_players_agree_on_which_way_is_real(name: str) -> None:
    """An undecided discriminator moves the scores of fakes one way, the generator moves slightly fake ones back."""
    loss = LOSSES[name]()
    loss.update(critique(torch.tensor([2.0, 4.0])), critique(torch.tensor([0.5, 0.5])))
    towards_real = direction(loss)
    undecided = torch.full((4,), loss.threshold)
    real = critique(undecided, torch.ones(4, 2, 2, 2))
    scored, shown = (
        undecided.clone().requires_grad_(),
        (undecided - 0.1 * towards_real).requires_grad_(),
    )
    (by_critic,) = torch.autograd.grad(loss.discriminator(real, critique(scored)), scored)
    (by_generator,) = torch.autograd.grad(loss.generator(critique(shown), real), shown)
    assert (-by_critic * towards_real < 0).all()
    assert (-by_generator * towards_real > 0).all()


@pytest.mark.parametrize("name", ["ebgan", "began", "loss_sensitive", "glsgan"])
def test_energies_are_low_on_reals(name: str) -> None:
    assert direction(LOSSES[name]()) == -1


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_both_generators_of_f_gan_go_the_same_way(divergence: str) -> None:
    for practical in (True, False):
        fake = torch.zeros(3, requires_grad=True)
        g = FGAN(divergence, practical).generator(critique(fake))
        assert (torch.autograd.grad(g, fake)[0] < 0).all()


@pytest.mark.parametrize("name", [*LOSSES, *REGULARIZERS])
def test_state_can_be_copied_saved_and_sent(name: str) -> None:
    module = (LOSSES.get(name) or REGULARIZERS[name])()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other.state_dict(), module.state_dict())
    assert all(buffer.is_floating_point() for buffer in module.buffers())


@pytest.mark.parametrize("path", sorted((CONF / "loss").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_say_what_they_are(path) -> None:
    first = next(
        line for line in path.read_text().splitlines() if not line.startswith("# @package")
    )
    assert first.startswith("# ")
    assert first.endswith(".")


@pytest.mark.parametrize(
    "path", sorted((CONF / "regularizer").glob("*.yaml")), ids=lambda path: path.stem
)
def test_regularizers_live_under_their_name(path) -> None:
    header, comment, *_ = path.read_text().splitlines()
    assert header == f"# @package regularizer.{path.stem}"
    assert comment.startswith("# ")


FREE_OF_CONSTANTS = [
    "wgan",
    "wgan_gp",
    "rpgan",
    "r3gan",
    "ragan",
    "ragan_ls",
    "ragan_hinge",
    "loss_sensitive",
    "began",
]


@pytest.mark.parametrize("name", FREE_OF_CONSTANTS)
def test_accuracy_does_not_depend_on_a_free_constant(name: str) -> None:
    """If only differences of scores have a meaning, accuracies do not depend on a constant."""
    loss, real, fake = (
        LOSSES[name](),
        torch.tensor([3.0, 1.0, 2.0, 0.0]),
        torch.tensor([0.5, -1.0, 1.5, 1.0]),
    )
    expected = accuracies(loss, real, fake)
    assert expected not in ([0, 0], [1, 1])
    for constant in (-40.0, 40.0):
        assert accuracies(loss, real + constant, fake + constant) == expected


@pytest.mark.parametrize("name", ["wgan", "wgan_gp", "ragan"])
def test_accuracy_against_the_mean_of_the_other_side(name: str) -> None:
    """The means are 1.5 and 0.5: three of four reals are above 0.5, three of four fakes below 1.5."""
    real, fake = torch.tensor([3.0, 1.0, 2.0, 0.0]) + 7, torch.tensor([0.5, -1.0, 1.5, 1.0]) + 7
    assert accuracies(LOSSES[name](), real, fake) == [0.75, 0.75]
