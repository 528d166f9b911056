"""SAN: which loss trains the length and which the direction of the last layer, by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize, relu

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput
from gan_zoo.losses.hinge import Hinge
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.networks.layers.heads import Heads, SlicedLinear
from gan_zoo.networks.packing import PackedDiscriminator
from gan_zoo.regularizers.san import SAN

H = torch.tensor([[1.0, 2.0, -1.0], [0.5, -1.0, 2.0]])
W = torch.tensor([[2.0, -1.0, 2.0]])


def layer() -> SlicedLinear:
    sliced = SlicedLinear(3)
    sliced.weight.data = W.clone()
    return sliced


def test_both_values_are_those_of_the_plain_layer() -> None:
    sliced = layer()
    torch.testing.assert_close(sliced(H), H @ W.T)
    torch.testing.assert_close(sliced.direction_scores(H), (H @ W.T).flatten())


def test_the_score_trains_features_and_length_alone() -> None:
    sliced, h = layer(), H.clone().requires_grad_()
    sliced(h).sum().backward()
    torch.testing.assert_close(h.grad, W.expand(2, -1))
    # |w| = 3: d/dw of |w| u.h at fixed u is (u.h) u.
    u = W[0] / 3
    torch.testing.assert_close(sliced.weight.grad[0], (H @ u).sum() * u)


def test_the_direction_scores_train_the_direction_alone() -> None:
    sliced, h = layer(), H.clone().requires_grad_()
    sliced.direction_scores(h).sum().backward()
    assert h.grad is None
    u = W[0] / 3
    across = H.sum(0) - (H.sum(0) @ u) * u
    torch.testing.assert_close(sliced.weight.grad[0], across)
    assert (sliced.weight.grad @ u).item() == pytest.approx(0, abs=1e-6)


def test_loss_and_penalty_by_hand() -> None:
    """Hinge loss of |w| sg(u).h, minus the Wasserstein distance of sg(|w| h).u."""
    head = Heads([3], norm="sliced+none")
    head.score.weight.data = W.clone()
    real, fake = head(H, H), head(-H, -H)
    term = AdversarialTerm("realism", head, H, -H)
    loss = Hinge().discriminator(real, fake) + SAN(0.5).penalty(term, real, fake, StepRNG(0, 0))
    (found,) = torch.autograd.grad(loss, head.score.weight)
    w = W.clone().requires_grad_()
    u = normalize(w, dim=1)
    adversarial = H @ (w.norm() * u.detach()).T
    along = (3 * H) @ u.T
    by_hand = (relu(1 - adversarial) + relu(1 - adversarial)).mean() - 0.5 * 2 * along.mean()
    (expected,) = torch.autograd.grad(by_hand, w, retain_graph=True)
    torch.testing.assert_close(found, expected)
    # A mistaken twin without detached direction trains it by the adversarial loss, too.
    mistaken = (relu(1 - H @ w.T) + relu(1 - H @ w.T)).mean() - 0.5 * 2 * along.mean()
    assert not torch.allclose(torch.autograd.grad(mistaken, w)[0], expected)


def test_other_discriminators_are_refused() -> None:
    with pytest.raises(ValueError, match=r"add discriminator.norm=sliced\+batch"):
        SAN().check(DCGANDiscriminator([1, 8, 8], 4))
    SAN().check(DCGANDiscriminator([1, 8, 8], 4, norm="sliced+spectral"))
    with pytest.raises(ValueError, match=r"discriminator.norm=sliced\+none needs a score without"):
        Heads([3], condition_dim=2, norm="sliced+none")
    with pytest.raises(ValueError, match="norm must be one of"):
        DCGANDiscriminator([1, 8, 8], 4, norm="sliced+nothing")


def test_packs_pass_the_direction_on() -> None:
    packed = PackedDiscriminator(
        lambda **o: DCGANDiscriminator(width=4, norm="sliced+none", **o), [1, 8, 8], 2
    )
    output = packed(torch.randn(4, 1, 8, 8))
    assert isinstance(output, DiscriminatorOutput)
    torch.testing.assert_close(output.direction, output.score)


@pytest.mark.parametrize("norm", ["sliced+batch", "sliced+spectral"])
def test_a_run(norm: str, tiny) -> None:
    overrides = ["regularizer=[san]", "loss=hinge", "data=digits", f"discriminator.norm={norm}"]
    trainer, module, data = build(tiny(*overrides, "trainer.max_steps=2"))
    before = normalize(module.model.discriminators["main"].heads.score.weight, dim=1).clone()
    trainer.fit(module, datamodule=data)
    after = normalize(module.model.discriminators["main"].heads.score.weight, dim=1)
    assert not torch.equal(before, after)
