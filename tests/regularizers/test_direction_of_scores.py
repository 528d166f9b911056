"""What takes high scores for those of reals is refused with losses whose reals have low scores."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.config.build import build
from tests.conformance.zoo import LOSSES, critique


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_says_whether_reals_score_high(name: str) -> None:
    """The discriminator's loss falls with the scores of reals, or rises with them."""
    loss = LOSSES[name]()
    score = torch.tensor([0.1, 0.3, 0.2], requires_grad=True)
    loss.discriminator(critique(score), critique(torch.tensor([0.2, 0.1, 0.05]))).backward()
    assert (score.grad.sum() < 0) == loss.high_is_real


@pytest.mark.parametrize("loss", ["ebgan", "began", "loss_sensitive"])
@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (("regularizer=[top_k]",), "regularizer=top_k"),
        (("regularizer=[lecam]",), "regularizer=lecam"),
        (("model=logan",), "LOGAN"),
    ],
)
def test_they_are_refused(loss: str, overrides: tuple[str, ...], part: str, tiny) -> None:
    message = f"{part} takes high scores for those of reals, but .* scores reals low"
    with pytest.raises(ValueError, match=message):
        build(tiny("data=digits", *overrides, f"loss={loss}"))


@pytest.mark.parametrize(("model", "part"), [("sgan", "SemiSupervisedGAN"), ("mhgan", "MHGAN")])
def test_scores_of_classes_are_high_for_reals(model: str, part: str, tiny) -> None:
    with pytest.raises(ValueError, match=f"{part} takes high scores for those of reals"):
        build(tiny("data=digits", f"model={model}", "loss=loss_sensitive"))


def test_a_sliced_layer_is_turned_towards_reals_alone(tiny) -> None:
    overrides = ("model=dcgan", "discriminator.norm=sliced+layer", "regularizer=[san]")
    with pytest.raises(ValueError, match="regularizer=san takes high scores for those of reals"):
        build(tiny("data=digits", *overrides, "loss=loss_sensitive", "discriminator=dcgan"))
