"""Images whose sides differ: from files to networks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import run_discriminator
from gan_zoo.data.crops import crop, random_corners, with_crops
from gan_zoo.data.datasets.image_folder import image_folder
from gan_zoo.data.files.image_io import decode
from gan_zoo.data.image_tensors import fit_images
from gan_zoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_zoo.networks.image_encoders import DCGANEncoder
from gan_zoo.networks.layers.shapes import rectangular_image
from gan_zoo.networks.resnet import ResNetDiscriminator, ResNetGenerator

SHAPES = [[3, 16, 24], [1, 24, 16], [3, 20, 8], [3, 12, 12], [3, 16, 16]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("generator", "discriminator"),
    [(DCGANGenerator, DCGANDiscriminator), (ResNetGenerator, ResNetDiscriminator)],
)
def test_networks_make_and_score_them(generator, discriminator, shape: list[int]) -> None:
    made = generator(latent_dim=5, sample_shape=shape, width=4)(torch.randn(3, 5))
    assert list(made.shape) == [3, *shape]
    scores = run_discriminator(discriminator(sample_shape=shape, width=4), made).score
    assert list(scores.shape) == [3]


def test_an_encoder_takes_them() -> None:
    assert DCGANEncoder(7, [3, 16, 24], width=4)(torch.randn(2, 3, 16, 24)).shape == (2, 7)


def test_attention_is_at_a_height() -> None:
    make = partial(ResNetGenerator, 5, [3, 16, 24], width=8)
    assert make(attention=8)(torch.randn(2, 5)).shape == (2, 3, 16, 24)
    with pytest.raises(ValueError, match=r"one of the sizes 8, 16, got 24"):
        make(attention=24)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([3, 64, 64], (3, 4, (4, 4))),
        ([3, 8, 8], (3, 1, (4, 4))),
        ([1, 48, 64], (1, 3, (6, 8))),
        ([3, 96, 320], (3, 4, (6, 20))),
        ([3, 256, 128], (3, 5, (8, 4))),
    ],
)
def test_halvings_by_hand(shape: list[int], expected: tuple) -> None:
    assert rectangular_image(shape, "x") == expected


@pytest.mark.parametrize("shape", [[3, 50, 64], [3, 7, 8], [3, 4, 8], [3, 36, 44]])
def test_other_sides_are_refused(shape: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"48x64 or 96x320, got {shape[1]}x{shape[2]}: set"):
        rectangular_image(shape, "generator=dcgan")


def test_files_are_resized_to_cover_and_cropped(tmp_path: Path) -> None:
    """An image of three columns, 30 wide and 10 high, at 10x20: a third of the middle stays whole."""
    pixels = np.repeat(np.array([0, 120, 240], dtype=np.uint8), 10)[None].repeat(10, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", 1, [10, 20])
    assert found.shape == (1, 10, 20)
    assert np.array_equal(found[0], pixels[:, 5:25])
    assert decode(tmp_path / "a.png", 1, [20, 10]).shape == (1, 20, 10)
    assert np.array_equal(
        decode(tmp_path / "a.png", 1, 10), decode(tmp_path / "a.png", 1, [10, 10])
    )


def test_a_folder_and_its_crops(tmp_path: Path) -> None:
    for number in range(4):
        Image.effect_noise((40, 30), 9.0 * number + 9).save(tmp_path / f"{number}.png")
    whole = image_folder(str(tmp_path), 1, [18, 30])
    assert whole.sample_shape == [1, 18, 30]
    data = with_crops(whole, [12, 24])
    assert data.sample_shape == [1, 12, 24]
    assert torch.equal(data.samples, whole.samples[:, :, 3:15, 3:27])
    corners = random_corners(whole.samples, [12, 24], StepRNG(0, 0), "crop")
    cropped = crop(whole.samples, corners, [12, 24])
    top, left = (int(part[1]) for part in corners)
    assert torch.equal(cropped[1], whole.samples[1, :, top : top + 12, left : left + 24])


def test_square_sets_are_cut_to_their_centers() -> None:
    images = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    assert torch.equal(fit_images(images, 1, [4, 8]), images[:, :, 2:6])


def test_the_config_takes_a_side_or_two(composed) -> None:
    assert composed("data.image_size=32").data.sample_shape == [3, 32, 32]
    config = composed("model=pix2pix", "data.image_size=[16,32]")
    assert config.data.sample_shape == [3, 16, 32]
    assert config.data.condition_shape == [3, 16, 32]
    with pytest.raises(Exception, match=r"a side or \[height, width\] in pixels, got \[1, 2, 3\]"):
        _ = composed("data.image_size=[1,2,3]").data.sample_shape


def test_a_run_on_them(tiny) -> None:
    from gan_zoo.config.build import build

    config = tiny("data=digits", "data.image_size=[8,16]", "trainer.max_steps=2")
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    assert data.source.sample_shape == [1, 8, 16]
    with pytest.raises((ConfigError, ValueError), match="works on square images"):
        build(tiny("model=stylegan2", "data=digits", "data.image_size=[8,16]"))
