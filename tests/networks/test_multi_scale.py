"""Discriminators with several outputs: a score map for each scale, losses as means over them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput, run_discriminator
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.networks.patchgan import MultiScalePatchGAN, PatchGAN, half_size, patchgan
from gan_zoo.regularizers.base import input_gradient
from gan_zoo.training.adversarial_step import over_parts

SHAPE = (3, 32, 32)
OPTIONS = {"layers": 1, "width": 4, "norm": "none"}


def discriminator(scales: int = 3, **options) -> MultiScalePatchGAN:
    torch.manual_seed(0)
    return patchgan(SHAPE, scales=scales, **OPTIONS | options)


def test_every_scale_scores_its_own_size() -> None:
    network, x = discriminator(), torch.randn(2, *SHAPE)
    output = run_discriminator(network, x)
    sizes = (x, half_size(x), half_size(half_size(x)))
    assert [size.shape[-1] for size in sizes] == [32, 16, 8]
    for part, scale, size in zip(output.parts, network.scales, sizes, strict=True):
        torch.testing.assert_close(part.score, scale(size).score)
    flat = torch.cat([part.score.flatten(1) for part in output.parts], 1)
    assert torch.equal(output.score, flat)
    assert output.x is x


def test_halving_averages_without_the_border() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    by_hand = torch.tensor([[(0 + 1 + 4 + 5) / 4, (1 + 2 + 3 + 5 + 6 + 7) / 6]])
    torch.testing.assert_close(half_size(x)[0, 0, :1], by_hand)


def test_a_condition_is_halved_with_the_image() -> None:
    network = discriminator(condition_channels=1)
    x, condition = torch.randn(2, *SHAPE), torch.randn(2, 1, 32, 32)
    output = network(x, condition)
    direct = network.scales[1](half_size(x), half_size(condition)).score
    torch.testing.assert_close(output.parts[1].score, direct)


def test_losses_are_means_over_scales_with_their_gradients() -> None:
    network = discriminator(2)
    for scale in network.scales:
        scale.score.weight.data *= 100
    real, fake = (run_discriminator(network, torch.randn(2, *SHAPE)) for _ in range(2))
    loss = NonSaturating()
    by_hand = sum(loss.discriminator(r, f) for r, f in zip(real.parts, fake.parts, strict=True)) / 2
    value = over_parts(loss.discriminator, real, fake)
    torch.testing.assert_close(value, by_hand)
    parameters = list(network.parameters())
    gradients = [torch.autograd.grad(v, parameters, retain_graph=True) for v in (value, by_hand)]
    torch.testing.assert_close(*gradients)
    # The finer scale has more patches, and no more weight for it.
    assert real.parts[0].score.numel() > real.parts[1].score.numel()
    assert not torch.allclose(value, loss.discriminator(real, fake))


def test_a_missing_side_stays_missing() -> None:
    part = DiscriminatorOutput(torch.ones(2), torch.zeros(2, 1))
    both = DiscriminatorOutput(torch.ones(2, 2), torch.zeros(2, 1), parts=(part, part))
    seen = []

    def loss(fake, real):
        seen.append(real)
        return fake.score.mean()

    assert over_parts(loss, both, None) == 1
    assert seen == [None, None]


def test_penalties_see_all_scales() -> None:
    network = discriminator(2)
    term = AdversarialTerm("a", network, torch.randn(2, *SHAPE), torch.randn(2, *SHAPE))
    term = term.with_input_gradients(real=True, fake=False)
    output = term.discriminate_real()
    total = sum(part.score.sum() for part in output.parts)
    (by_hand,) = torch.autograd.grad(total, term.real, retain_graph=True)
    torch.testing.assert_close(input_gradient(output), by_hand.flatten(1))


def test_one_scale_is_the_plain_network() -> None:
    assert type(patchgan(SHAPE, **OPTIONS)) is PatchGAN
    with pytest.raises(ValueError, match="scales must be >= 1, got 0"):
        patchgan(SHAPE, scales=0)
    with pytest.raises(ValueError, match="images of 4 pixels allow 0, got 1"):
        discriminator(4)


@pytest.mark.parametrize(
    "loss", ["lsgan", "wgan_gp", "hinge", "rpgan", "ragan", "fgan", "loss_sensitive", "fisher"]
)
def test_two_scales_train_with_losses(loss: str, tiny, tmp_path) -> None:
    from PIL import Image

    from gan_zoo.config.build import build

    for domain in ("source", "target"):
        (tmp_path / domain).mkdir()
        for number in range(4):
            Image.effect_noise((16, 16), 10 * number + 1).save(tmp_path / domain / f"{number}.png")
    small = [
        "data.image_size=16",
        "generator.width=4",
        "discriminator.layers=1",
        "discriminator.width=4",
    ]
    overrides = [
        "model=pix2pix",
        "data=paired_folder",
        f"data.root={tmp_path}",
        *small,
        "data.batch_size=4",
    ]
    config = tiny(
        *overrides,
        f"loss={loss}",
        "discriminator.scales=2",
        "trainer.max_steps=1",
        "loss.n_critic=1",
    )
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    assert isinstance(module.model.discriminators["main"], MultiScalePatchGAN)
    assert all(p.isfinite().all() for p in module.parameters())
    assert any(p.grad.abs().sum() > 0 for p in module.model.discriminators.parameters())
    assert isinstance(module, nn.Module)
