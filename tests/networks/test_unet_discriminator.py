"""The U-Net discriminator and its CutMix consistency, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput, run_discriminator
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.networks.unet_discriminator import UNetDiscriminator
from gan_zoo.regularizers.cutmix import CutMix, box_masks


@pytest.mark.parametrize("size", [8, 16, 32])
def test_a_score_of_the_image_and_of_each_pixel(size: int) -> None:
    network = UNetDiscriminator([3, size, size], width=2, aux_outputs=4)
    output = network(torch.randn(2, 3, size, size))
    image, pixels = output.parts
    assert image.score.shape == (2,)
    assert pixels.score.shape == (2, size, size)
    assert output.aux.shape == (2, 4)
    torch.testing.assert_close(output.score[:, 0], image.score)
    torch.testing.assert_close(output.score[:, 1:], pixels.score.flatten(1))


def test_the_image_is_scored_by_the_sum_of_its_last_activations() -> None:
    network = UNetDiscriminator([3, 16, 16], width=2).eval()
    x = torch.randn(2, 3, 16, 16)
    last = network.down[1](network.down[0](x))
    expected = network.heads.score(last.relu().sum((2, 3))).flatten()
    torch.testing.assert_close(network(x).parts[0].score, expected)


def test_every_parameter_has_a_gradient() -> None:
    network = UNetDiscriminator([1, 16, 16], width=2)
    network(torch.randn(2, 1, 16, 16)).score.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_pixels_see_the_details_of_their_place_by_skip_connections() -> None:
    """Without the skip of the largest size, all 2x2 blocks of the difference would be equal."""
    torch.manual_seed(0)
    network = UNetDiscriminator([1, 16, 16], width=4, norm="none").eval()
    x = torch.randn(1, 1, 16, 16)
    changed = x.clone()
    changed[0, 0, 5, 5] += 1
    difference = (network(changed).parts[1].score - network(x).parts[1].score).abs()[0]
    place = divmod(int(difference.argmax()), 16)
    assert max(abs(place[0] - 5), abs(place[1] - 5)) <= 3


class OfPixels(nn.Module):
    """Scores of pixels are squares: D_p(x) = x^2 / 2 of the first channel."""

    scores_pixels = True

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        image = DiscriminatorOutput(x.flatten(1).sum(1), x)
        pixels = DiscriminatorOutput(x[:, 0].square() / 2 + x.mean((1, 2, 3))[:, None, None], x)
        return DiscriminatorOutput(pixels.score.flatten(1), x, parts=(image, pixels))


def test_consistency_by_hand() -> None:
    torch.manual_seed(0)
    real, fake, rng = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8), StepRNG(0, 0)
    network = OfPixels()
    term = AdversarialTerm("realism", network, real, fake)
    outputs = run_discriminator(network, real), run_discriminator(network, fake)
    found = CutMix(0.5).penalty(term, *outputs, rng)
    mask = box_masks(real, rng)
    mixed = torch.where(mask[:, None] == 1, real, fake)
    # The squares agree; what differs are the means over the image.
    means = [x.mean((1, 2, 3))[:, None, None] for x in (mixed, real, fake)]
    gap = means[0] - torch.where(mask == 1, means[1], means[2])
    torch.testing.assert_close(found, 0.5 * gap.square().mean())


def test_boxes() -> None:
    masks = torch.cat(
        [box_masks(torch.zeros(500, 1, 8, 12), StepRNG(0, step)) for step in range(4)]
    )
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    # Real and fake images have the box equally often.
    assert masks.mean().item() == pytest.approx(0.5, abs=0.02)
    # A box or its complement is a rectangle.
    for mask in masks[:50]:
        rectangles = []
        for part in (mask, 1 - mask):
            rows, columns = part.any(1), part.any(0)
            rectangles.append(part.sum() == rows.sum() * columns.sum())
        assert any(rectangles)


def test_what_does_not_score_pixels_or_moves_them_is_refused(tiny) -> None:
    with pytest.raises(ValueError, match="add discriminator=unet, got DCGANDiscriminator"):
        CutMix().check(DCGANDiscriminator([1, 8, 8], 4))
    overrides = ["data=digits", "discriminator=unet", "regularizer=[cutmix]"]
    with pytest.raises(ValueError, match="which augmentation moves: add augment=none"):
        build(tiny(*overrides, "augment=diffaugment"))


def test_packs_have_no_pixels_of_their_own(tiny) -> None:
    overrides = ("loss=hinge", "discriminator=unet", "regularizer=[cutmix]", "pack=2")
    with pytest.raises(ValueError, match="regularizer=cutmix mixes single images: add pack=1"):
        build(tiny("data=digits", *overrides))


@pytest.mark.parametrize("model", ["sgan", "mhgan"])
def test_scores_of_pixels_are_no_scores_of_classes(model: str, tiny) -> None:
    with pytest.raises(ValueError, match=f"model={model} needs a discriminator with one score"):
        build(tiny("data=digits", f"model={model}", "discriminator=unet"))


@pytest.mark.parametrize("model", ["dcgan", "acgan", "cgan_single"])
def test_a_run(model: str, tiny) -> None:
    overrides = [f"model={model}", "data=digits", "discriminator=unet", "regularizer=[cutmix]"]
    trainer, module, data = build(tiny(*overrides, "discriminator.width=2", "trainer.max_steps=2"))
    trainer.fit(module, datamodule=data)
    assert all(p.isfinite().all() for p in module.parameters())
