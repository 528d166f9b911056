"""A loss is a mean: the order of the batch and its repetition change nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.base import Loss

from .zoo import LOSSES, critique

NOT_FOR_REPEATED_FAKES = {"ebgan"}  # the pulling-away term counts pairs of different samples


def sides() -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
    draw = torch.Generator().manual_seed(0)

    def side() -> DiscriminatorOutput:
        score, x, code = (
            torch.randn(6, *s, generator=draw, dtype=torch.float64) for s in ((), (1, 2, 2), (4,))
        )
        return critique(score, x, code)

    return side(), side()


def picked(of: DiscriminatorOutput, index: Tensor) -> DiscriminatorOutput:
    return critique(of.score[index], of.x[index], of.features[0][index])


def both(loss: Loss, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> tuple[Tensor, Tensor]:
    return loss.discriminator(real, fake), loss.generator(fake, real)


def stepped(name: str) -> Loss:
    """The loss with its state away from the start."""
    loss = LOSSES[name]()
    loss.update(*sides())
    return loss


@pytest.mark.parametrize("name", LOSSES)
def test_order_does_not_matter(name: str) -> None:
    loss, (real, fake), order = stepped(name), sides(), torch.tensor([4, 2, 0, 5, 1, 3])
    torch.testing.assert_close(
        both(loss, picked(real, order), picked(fake, order)), both(loss, real, fake)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_repetition_does_not_matter(name: str) -> None:
    if name in ("softmax", "dual_contrastive"):
        pytest.skip("a sample is compared with all others of the batch: its size matters")
    loss, (real, fake), twice = stepped(name), sides(), torch.arange(6).repeat(2)
    again, once = both(loss, picked(real, twice), picked(fake, twice)), both(loss, real, fake)
    torch.testing.assert_close(again[0], once[0])
    if name not in NOT_FOR_REPEATED_FAKES:
        torch.testing.assert_close(again[1], once[1])


@pytest.mark.parametrize("name", LOSSES)
def test_state_moves_by_means(name: str) -> None:
    one, other, (real, fake) = LOSSES[name](), LOSSES[name](), sides()
    twice = torch.arange(6).repeat(2).flip(0)
    one.update(real, fake)
    other.update(picked(real, twice), picked(fake, twice))
    torch.testing.assert_close(one.state_dict(), other.state_dict())


@pytest.mark.parametrize("name", LOSSES)
def test_losses_do_not_change_state(name: str) -> None:
    loss = stepped(name)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    both(loss, *sides())
    loss.log_values(*sides())
    torch.testing.assert_close(loss.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_readings_and_accuracy_are_scalars(name: str) -> None:
    loss, (real, fake) = stepped(name), sides()
    log_values = {
        **loss.log_values(real, fake),
        **dict(zip("rf", loss.accuracy(real, fake), strict=True)),
    }
    for reading in log_values.values():
        assert reading.shape == ()
        assert reading.isfinite()
    assert all(0 <= fraction <= 1 for fraction in loss.accuracy(real, fake))
