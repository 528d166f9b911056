"""Unrolled discriminators: virtual steps of their optimizer, differentiated through; several generator steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.config.build import build
from gan_zoo.core.layers import WithWeights
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch
from gan_zoo.losses.wasserstein import Wasserstein
from gan_zoo.models.gan import GAN
from gan_zoo.training.module import GANModule
from gan_zoo.training.unrolling import AdamSteps, Unrolling


class Shift(nn.Module):
    """G(z) = z + b."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.5))

    def forward(self, latents: Tensor) -> Tensor:
        return latents + self.shift


class Slope(nn.Module):
    """D(x) = w x."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x[:, 0]


def step_parts():
    model = GAN(lambda latent_dim: Shift(), Slope, latent_dim=1)
    module = GANModule(model, Wasserstein(), ema=None)
    batch = Batch(5, StepRNG(0, 0), torch.linspace(0, 1, 5)[:, None])
    return model, module, batch, model.generate(batch)


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_of_sgd_by_hand(steps: int) -> None:
    """L_D = w (m_f - m_r), so w_k = w - k lr (m_f - m_r); L_G = -L_D at w_k, whose derivative also runs through w_k.

    A mistaken twin leaves out the reals, -w_k m_f.
    """
    model, module, batch, fakes = step_parts()
    optimizer = torch.optim.SGD(model.discriminators.parameters(), lr=0.1)
    terms = module.adversarial.generator_terms(batch, fakes, unroll=Unrolling(steps, optimizer))
    of_fake, of_real = (x.detach().mean().item() for x in (fakes["fake"], batch.real))
    moved = 2.0 - steps * 0.1 * (of_fake - of_real)
    torch.testing.assert_close(
        terms["g/realism"].item(), moved * (of_real - of_fake), rtol=1e-5, atol=1e-6
    )
    terms["g/realism"].backward()
    gradient = model.generators["main"].shift.grad.item()
    assert gradient == pytest.approx(-moved - steps * 0.1 * (of_real - of_fake), rel=1e-5)
    discriminator = model.discriminators["main"]
    assert discriminator.slope.item() == 2.0
    assert discriminator.slope.grad is None


def test_steps_of_adam_are_those_of_torch() -> None:
    """From the state that the optimizer is in."""
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.5, 0.9))
    x = torch.randn(7, 3)

    def loss(layer: nn.Module) -> Tensor:
        return layer(x).square().mean() + layer(x).mean()

    for _ in range(3):
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()
    state = {name: optimizer.state[p] for name, p in network.named_parameters()}
    rule = AdamSteps(state, optimizer.param_groups[0])
    weights = {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}
    for _ in range(2):
        trial = WithWeights(network, weights)
        gradients = torch.autograd.grad(loss(trial), list(weights.values()), create_graph=True)
        weights = rule(weights, dict(zip(weights, gradients, strict=True)))
    for _ in range(2):
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(weights[name], parameter, rtol=1e-5, atol=1e-7)


def test_running_statistics_stay() -> None:
    network = nn.BatchNorm1d(2)
    WithWeights(network, dict(network.named_parameters()))(torch.randn(8, 2))
    assert torch.equal(network.running_mean, torch.zeros(2))
    assert int(network.num_batches_tracked) == 0


def test_training_unrolls(tiny) -> None:
    overrides = ("model=gan", "data=ring", "trainer.max_steps=2")
    states = []
    for more in ((), ("loss.unroll=2",)):
        trainer, module, data = build(tiny(*overrides, *more))
        trainer.fit(module, datamodule=data)
        assert all(p.isfinite().all() for p in module.parameters())
        states.append(module.model.generators["main"].state_dict())
    assert any(not torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_other_optimizers_are_refused(tiny) -> None:
    with pytest.raises(
        ValueError,
        match=r"loss.unroll works with SGD and Adam as the discriminator's optimizer, got RM",
    ):
        build(tiny("model=gan", "data=ring", "optim=rmsprop", "loss.unroll=1"))


@pytest.mark.parametrize(
    ("optimizer", "setting"),
    [("sgd", "momentum=0.9"), ("sgd", "weight_decay=0.1"), ("adam", "amsgrad=true")],
)
def test_settings_that_the_steps_do_not_have_are_refused(
    optimizer: str, setting: str, tiny
) -> None:
    name = setting.partition("=")[0]
    overrides = [f"optim={optimizer}", f"+optim.discriminator.{setting}", "loss.unroll=1"]
    with pytest.raises(ValueError, match=f"loss.unroll steps without {name}: set optim"):
        build(tiny("model=gan", "data=ring", *overrides))


def test_a_regularizer_of_the_generators_loss_is_refused(tiny) -> None:
    overrides = ("loss.unroll=1", "regularizer=[top_k]")
    with pytest.raises(ValueError, match="regularizer=top_k changes the generator's loss, which"):
        build(tiny("model=gan", "data=ring", *overrides))


def test_frozen_layers_do_not_move(tiny, monkeypatch) -> None:
    overrides = ("model=gan", "data=ring", "freeze_discriminator=1", "loss.unroll=2")
    trainer, module, data = build(tiny(*overrides, "trainer.max_steps=2"))
    moved = []
    unrolled = Unrolling.unrolled

    def recorded(self, *arguments):
        weights = unrolled(self, *arguments)
        moved.append(set(weights))
        return weights

    monkeypatch.setattr(Unrolling, "unrolled", recorded)
    trainer.fit(module, datamodule=data)
    network = module.model.discriminators["main"]
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert moved == [trained] * 2
    assert 0 < len(trained) < len(list(network.parameters()))

    # The optimizer's state has the trained parameters alone, so that it can be saved.
    for optimizer in trainer.optimizers:
        optimizer.state_dict()


def test_further_generator_steps_draw_new_latents(tiny, monkeypatch) -> None:
    trainer, module, data = build(
        tiny("model=gan", "data=ring", "loss.n_generator=3", "trainer.max_steps=2")
    )
    drawn = []
    generate = module.model.generate

    def spy(batch):
        drawn.append(module.model.latents(module.model.request_for(batch)))
        return generate(batch)

    monkeypatch.setattr(module.model, "generate", spy)
    trainer.fit(module, datamodule=data)
    assert module.clock.generator_steps == 6
    assert module.global_step == 2
    assert len(drawn) == 6, "the first generator step uses the fakes of the discriminator step"
    assert len({tuple(latents.flatten().tolist()) for latents in drawn}) == 6
