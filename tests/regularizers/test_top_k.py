"""Top-k training: value and gradient by hand, every kind of score, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_zoo.config.build import build
from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.losses.relativistic import RelativisticPaired
from gan_zoo.regularizers import top_k as module_of_top_k
from gan_zoo.regularizers.top_k import TopK, select_rows
from gan_zoo.training.module import GANModule

from ..models.playing import CRITIC, GENERATOR


def output(score: Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(score, torch.zeros(len(score), 1, 2, 2))


def test_value_and_gradient_by_hand() -> None:
    score = torch.tensor([0.5, -2.0, 1.5, 0.0], requires_grad=True)
    loss = TopK(0.5).generator_loss(NonSaturating().generator)(output(score), None)
    torch.testing.assert_close(loss, softplus(-torch.tensor([0.5, 1.5])).mean())
    loss.backward()
    expected = [-torch.sigmoid(torch.tensor(-s)).item() / 2 for s in (0.5, 1.5)]
    assert score.grad.tolist() == pytest.approx([expected[0], 0, expected[1], 0])


def test_all_samples_are_the_loss_itself() -> None:
    score = torch.randn(5)
    loss = TopK(1.0).generator_loss(NonSaturating().generator)(output(score), None)
    torch.testing.assert_close(loss, NonSaturating().generator(output(score)))


def test_patches_count_by_their_mean() -> None:
    score = torch.tensor([[4.0, -4.0], [1.0, 1.0], [-1.0, 0.0]])
    kept, k = TopK(0.3).best(score)
    assert (kept.tolist(), k) == ([1], 1)
    chosen = select_rows(output(score), kept)
    assert chosen.score.tolist() == [[1.0, 1.0]]
    assert chosen.x.shape == (1, 1, 2, 2)


def test_the_best_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process contributes its share of the global k; a mistaken twin takes the best of each."""
    scores = torch.tensor([[3.0, 2.0, -1.0], [1.0, -2.0, -3.0]], requires_grad=True)
    monkeypatch.setattr(module_of_top_k, "gather_over_ranks", lambda _: scores.detach().flatten())
    monkeypatch.setattr(module_of_top_k, "world_size", lambda: 2)
    wrapped = TopK(0.5).generator_loss(NonSaturating().generator)
    mean = sum(wrapped(output(rows), None) for rows in scores) / 2
    torch.testing.assert_close(mean, softplus(-torch.tensor([3.0, 2.0, 1.0])).mean())
    mean.backward()
    assert (scores.grad != 0).tolist() == [[True, True, False], [True, False, False]]


def test_a_process_without_any_of_the_best_still_has_a_gradient(monkeypatch) -> None:
    score = torch.tensor([0.0, 0.1], requires_grad=True)
    monkeypatch.setattr(module_of_top_k, "gather_over_ranks", lambda s: torch.cat([s, s + 9]))
    loss = TopK(0.5).generator_loss(NonSaturating().generator)(output(score), None)
    loss.backward()
    assert loss.item() == 0
    assert score.grad.tolist() == [0, 0]


def test_losses_that_compare_samples_are_refused() -> None:
    from gan_zoo.models.gan import GAN

    with pytest.raises(
        ValueError, match="top_k needs a generator's loss that is a mean over fakes"
    ):
        GANModule(GAN(GENERATOR, CRITIC, 4), RelativisticPaired(), {"top_k": TopK()})


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"fraction": 0.0}, r"fraction must be in \(0, 1\], got 0.0"),
        ({"every": 2}, "every must be 1"),
    ],
)
def test_arguments(arguments: dict[str, float], refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        TopK(**arguments)


def test_a_run_trains_the_generator_on_half_of_its_samples(tiny) -> None:
    schedule = "+schedules.k={value:regularizer.top_k.fraction,start:1,end:0.5,until:8,kind:linear}"
    overrides = ["regularizer=[top_k]", "data=digits", "trainer.max_steps=3", schedule]
    trainer, module, data = build(tiny(*overrides))
    trainer.fit(module, datamodule=data)
    assert module.generator_regularizers["top_k"].fraction == 0.5
    assert isinstance(module.model.generators["main"], nn.Module)
