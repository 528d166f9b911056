"""Regularizers that change what the discriminator is given: label flips and adaptive pseudo augmentation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput
from gan_zoo.regularizers.apa import AdaptivePseudoAugmentation
from gan_zoo.regularizers.label_flip import LabelFlip

SIZE = 4000
REAL, FAKE = torch.ones(SIZE, 1), -torch.ones(SIZE, 1)


def term(**options) -> AdversarialTerm:
    return AdversarialTerm("realism", nn.Identity(), REAL, FAKE, **options)


def output(score: Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(score, torch.zeros(len(score), 1))


def test_flipped_pairs_change_sides() -> None:
    flipped = LabelFlip(0.25).prepare(term(), StepRNG(0, 0))
    assert torch.equal(flipped.real, -flipped.fake), "both samples of a pair move"
    assert abs(float((flipped.real < 0).float().mean()) - 0.25) < 0.03
    again, later = (LabelFlip(0.25).prepare(term(), StepRNG(0, step)) for step in (0, 1))
    assert torch.equal(again.real, flipped.real)
    assert not torch.equal(later.real, flipped.real)


def test_flips_are_those_of_the_global_batch() -> None:
    parts = []
    for rank in range(2):
        half = slice(rank * SIZE // 2, (rank + 1) * SIZE // 2)
        own = AdversarialTerm("realism", nn.Identity(), REAL[half], FAKE[half])
        parts.append(LabelFlip(0.25).prepare(own, StepRNG(0, 0, rank, 2)).real)
    assert torch.equal(torch.cat(parts), LabelFlip(0.25).prepare(term(), StepRNG(0, 0)).real)


def test_terms_with_other_conditions_are_left_alone() -> None:
    for regularizer in (LabelFlip(0.5), full()):
        for kept in (term(mismatched=True), term(swapped=True)):
            assert regularizer.prepare(kept, StepRNG(0, 0)) is kept


@pytest.mark.parametrize("regularizer", ["label_flip", "apa"])
@pytest.mark.parametrize("model", ["acgan", "mhgan", "infogan"])
def test_models_that_tell_the_sides_apart_are_refused(model: str, regularizer: str, tiny) -> None:
    loss = {"mhgan": "multi_hinge"}.get(model, "nonsaturating")
    config = tiny(f"model={model}", f"loss={loss}", "data=digits", f"regularizer=[{regularizer}]")
    with pytest.raises(ValueError, match=f"{regularizer} mixes reals and fakes, but"):
        build(config)


def full() -> AdaptivePseudoAugmentation:
    """With p = 1/2."""
    regularizer = AdaptivePseudoAugmentation()
    regularizer.p.fill_(0.5)
    return regularizer


def test_apa_replaces_reals_only() -> None:
    changed = full().prepare(term(), StepRNG(0, 0))
    assert changed.fake is FAKE
    assert abs(float((changed.real < 0).float().mean()) - 0.5) < 0.03
    assert torch.equal(AdaptivePseudoAugmentation().prepare(term(), StepRNG(0, 0)).real, REAL), (
        "p starts at 0"
    )


def test_apa_moves_by_the_overfitting_of_an_interval() -> None:
    """Signs of the reals' scores against the target 0.6: 8 images of 80 move p by 0.1, up or down, within [0, 1]."""
    regularizer = AdaptivePseudoAugmentation(images_to_full=80, interval=2)
    sides = AdversarialTerm("realism", nn.Identity(), REAL[:4], FAKE[:4])
    sure, unsure = output(torch.ones(4)), output(torch.tensor([1.0, 1.0, -1.0, -1.0]))
    found = []
    for real in (sure, sure, sure, sure, unsure, unsure, unsure, unsure, unsure, unsure):
        regularizer.update(sides, real, output(-torch.ones(4)))
        found.append(round(float(regularizer.p), 6))
    assert found == [0, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0, 0, 0]
    assert {f"adaptive.{n}" for n in ("p", "signs", "images", "steps")} <= set(
        regularizer.state_dict()
    )
