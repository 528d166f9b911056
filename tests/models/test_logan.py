"""LOGAN: the step of the latents by hand, where its gradients go, and what stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.losses.hinge import Hinge
from gan_zoo.models.logan import LOGAN

from .playing import CRITIC, GENERATOR, batch, gradients, reaches, turns


def logan(**options) -> LOGAN:
    torch.manual_seed(0)
    return LOGAN(GENERATOR, CRITIC, latent_dim=4, **options)


class Doubled(nn.Module):
    """G(z) = 2 z, as images of one pixel."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, latents: Tensor) -> Tensor:
        return (self.factor * latents)[:, :, None, None]


class Quadratic(nn.Module):
    """D(x) = w |x|^2 / 2 with w = 3."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * self.weight * x.flatten(1).square().sum(1)


def test_the_step_by_hand() -> None:
    """D(G(z)) = 6 |z|^2, so g = 12 z and dz = a 12 z / (b + 144 |z|^2)."""
    model = LOGAN(Doubled, Quadratic, 0.5, 2.0, fraction=1.0, latent_dim=2, prior="normal")
    z = torch.tensor([[0.1, -0.2], [0.0, 0.05]])
    shift = model.latent_shift(z, batch(2))
    expected = 0.5 * 12 * z / (2 + 144 * z.square().sum(1, keepdim=True))
    torch.testing.assert_close(shift, expected)
    # By the factor s of G(z) = s z, dz = a 3 s^2 z / (b + 9 s^4 |z|^2).
    s = torch.tensor(2.0, requires_grad=True)
    norm = z.square().sum(1, keepdim=True)
    by_hand = (0.5 * 3 * s**2 * z / (2 + 9 * s**4 * norm)).square().sum()
    (expected_gradient,) = torch.autograd.grad(by_hand, s)
    factor = model.generators["main"].factor
    (found,) = torch.autograd.grad(shift.square().sum(), factor)
    torch.testing.assert_close(found, expected_gradient)


def test_a_chosen_part_moves_and_stays_in_the_prior() -> None:
    model = logan(fraction=0.5, step_size=50.0)
    data = batch(64)
    fakes = model.generate(data)
    moves = fakes["shift"].abs().sum(1) > 0
    assert torch.equal(moves, data.rng.uniform("optimized latents", 64, 1)[:, 0] < 0.5)
    assert 16 < moves.sum() < 48
    moved = (model.latents(model.request_for(data)) + fakes["shift"]).clamp(-1, 1)
    torch.testing.assert_close(fakes["fake"], model.generators["main"](moved))


def test_gradients_stay_on_their_side() -> None:
    model = logan()
    of_discriminator, of_generator = turns(model, batch(), Hinge())
    assert not any(
        g.any() for g in gradients(of_discriminator["d/realism"], model.generators).values()
    )
    for term in of_generator.values():
        assert any(g.any() for g in gradients(term, model.generators).values())
        assert not any(g.any() for g in gradients(term, model.discriminators).values())
    assert reaches(of_generator["g/realism"], model.generators)
    sum(of_generator.values()).backward()
    assert all(p.grad is None for p in model.discriminators.parameters())


def test_scoring_latents_leaves_the_discriminator_as_it_was() -> None:
    """Batch statistics and power iterations count the discriminator's own passes alone."""

    def critic() -> nn.Module:
        spectral = nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 2, 3))
        return nn.Sequential(
            spectral, nn.BatchNorm2d(2), nn.Flatten(), nn.LazyLinear(1), nn.Flatten(0)
        )

    model = LOGAN(GENERATOR, critic, latent_dim=4)
    model.discriminators["main"](batch().real)
    before = {name: value.clone() for name, value in model.discriminators.state_dict().items()}
    model.generate(batch())
    for name, value in model.discriminators.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_generator_step_may_come_after_the_discriminators_weights_changed() -> None:
    model, data = logan(), batch()
    fakes = model.generate(data)
    with torch.no_grad():
        for parameter in model.discriminators.parameters():
            parameter.add_(1.0)
    fakes["shift"].square().sum().backward()
    assert model.generators["main"].layers[0].weight.grad is not None


@pytest.mark.parametrize("argument", ["step_size", "damping"])
def test_requested_samples_use_the_latents_as_they_are(argument: str) -> None:
    model, data = logan(**{argument: 3.0}), batch()
    request = model.request_for(data)
    expected = model.generators["main"](model.latents(request))
    torch.testing.assert_close(model.sample(request, model.generators), expected)
