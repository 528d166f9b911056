"""Diffusion-GAN's augmentation: its noise by hand, its distribution of steps, and what it adapts to."""

from __future__ import annotations

import pytest
import torch

from gan_zoo.augmentation.base import AugmentedDiscriminator
from gan_zoo.augmentation.diffusion import Diffusion
from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput


def test_the_kept_part_by_hand() -> None:
    kept = Diffusion(max_steps=3, min_steps=1).kept
    middle = (1e-4 + 2e-2) / 2
    expected = [1, 1 - 1e-4, (1 - 1e-4) * (1 - middle), (1 - 1e-4) * (1 - middle) * (1 - 2e-2)]
    assert kept.tolist() == pytest.approx(expected)


def test_steps_are_drawn_in_proportion_to_their_number() -> None:
    """A mistaken twin draws one t for all samples of a batch."""
    torch.manual_seed(0)
    diffusion = Diffusion(min_steps=4, clean=0.25)
    drawn = diffusion.draw_steps(torch.zeros(40_000))
    frequencies = torch.bincount(drawn, minlength=5) / len(drawn)
    expected = [0.25] + [0.75 * t / 10 for t in (1, 2, 3, 4)]
    assert frequencies.tolist() == pytest.approx(expected, abs=0.01)
    assert len(diffusion.draw_steps(torch.zeros(16)).unique()) > 1


def test_mean_and_variance_of_what_is_seen() -> None:
    torch.manual_seed(0)
    diffusion = Diffusion(std=0.5, min_steps=1000, clean=0.0)
    x = torch.full((20_000, 1, 1, 1), 0.8)
    t = torch.arange(1001, dtype=torch.float64)
    weights = t / t.sum()
    kept = diffusion.kept.double()
    mean = (weights * kept.sqrt()).sum() * 0.8
    second = (weights * (kept * 0.64 + (1 - kept) * 0.25)).sum()
    seen = diffusion(x)
    assert seen.mean().item() == pytest.approx(float(mean), abs=0.01)
    assert seen.square().mean().item() == pytest.approx(float(second), abs=0.01)


def test_gradients_reach_the_samples_by_the_kept_part() -> None:
    diffusion = Diffusion(min_steps=1000)
    x = torch.zeros(8, 3, 4, 4, requires_grad=True)
    torch.manual_seed(1)
    t = diffusion.draw_steps(x)
    torch.manual_seed(1)
    diffusion(x).sum().backward()
    expected = diffusion.kept[t].sqrt()[:, None, None, None].expand_as(x)
    torch.testing.assert_close(x.grad, expected)


def test_conditions_that_move_along_stay_clean() -> None:
    x = torch.randn(4, 5, 4, 4)
    seen = Diffusion(min_steps=1000, clean=0.0)(x, 3)
    assert torch.equal(seen[:, 3:], x[:, 3:])
    assert not torch.equal(seen[:, :3], x[:, :3])


def test_more_steps_while_the_discriminator_overfits() -> None:
    diffusion = Diffusion(images_to_full=80, interval=1)
    output = DiscriminatorOutput(torch.ones(8), torch.zeros(8, 1, 4, 4))
    term = AdversarialTerm("realism", torch.nn.Identity(), output.x, output.x)
    assert diffusion.steps.item() == 5
    diffusion.update(term, output, torch.ones(8), 1)
    assert diffusion.steps.item() == round(5 + 0.1 * 995)
    diffusion.update(term, output, -torch.ones(8), 2)
    assert diffusion.steps.item() == 5
    assert "adaptive.p" in diffusion.state_dict()
    assert "kept" not in diffusion.state_dict()


def test_nothing_is_diffused_in_evaluation_or_for_energies() -> None:
    network = torch.nn.Flatten()
    wrapped = AugmentedDiscriminator(network, Diffusion(clean=0.0)).eval()
    x = torch.randn(2, 1, 4, 4)
    assert torch.equal(wrapped(x).score, x.flatten(1))
    network.energy = True
    with pytest.raises(ValueError, match="augment=diffusion reads the sign"):
        AugmentedDiscriminator(network, Diffusion())
    AugmentedDiscriminator(network, Diffusion(target=None))


def test_the_range_of_steps_must_be_a_range() -> None:
    with pytest.raises(ValueError, match="min_steps must be from 1 to max_steps, got min_steps=7"):
        Diffusion(min_steps=7, max_steps=6)
