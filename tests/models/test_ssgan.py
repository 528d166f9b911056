"""SSGAN: rotations by hand, which side learns what, and no leak from the order of a batch."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from gan_zoo.losses.hinge import Hinge
from gan_zoo.models.ssgan import SSGAN, rotated

from .playing import CRITIC, GENERATOR, SHAPE, batch, gradients, random_images, reaches, turns


def ssgan(**options) -> SSGAN:
    torch.manual_seed(0)
    return SSGAN(GENERATOR, CRITIC, SHAPE, latent_dim=4, **options)


def test_rotations_by_hand() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]).expand(4, -1, -1, -1)
    found = rotated(x, torch.arange(4))
    expected = [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    assert found.tolist() == [[image] for image in expected]


def test_terms_by_hand() -> None:
    model, data = ssgan(discriminator_weight=0.7, generator_weight=0.3), batch()
    of_discriminator, of_generator = turns(model, data, Hinge())
    fake = model.generators["main"](data.rng.normal("latents", 6, 4))
    found = {"reals": of_discriminator["d/rotation"], "fakes": of_generator["g/rotation"]}
    for kind, x, weight in (("reals", data.real, 0.7), ("fakes", fake, 0.3)):
        quarters = data.rng.randint(f"rotations of {kind}", 6, 0, 4)
        logits = model.discriminators["main"](rotated(x, quarters)).aux
        torch.testing.assert_close(found[kind], weight * cross_entropy(logits, quarters))


def test_the_head_learns_from_reals_alone() -> None:
    model, data = ssgan(), batch()
    of_discriminator, of_generator = turns(model, data, Hinge())
    rotation = of_discriminator["d/rotation"]
    assert any(g.any() for g in gradients(rotation, model.discriminators).values())
    assert not any(g.any() for g in gradients(rotation, model.generators).values())
    assert reaches(of_generator["g/rotation"], model.generators)
    assert not any(
        g.any() for g in gradients(of_generator["g/rotation"], model.discriminators).values()
    )


def test_angles_do_not_follow_from_the_place_in_a_batch() -> None:
    """A mistaken twin rotates the first quarter by 0, the second by 90 degrees, and so on."""
    angles = torch.stack(
        [batch(8, step).rng.randint("rotations of reals", 8, 0, 4) for step in range(200)]
    )
    for place in range(8):
        counts = torch.bincount(angles[:, place], minlength=4)
        assert counts.min() > 25, counts


def test_only_square_images_are_rotated() -> None:
    with pytest.raises(ValueError, match=r"data.sample_shape must be \[C, S, S\], got \[1, 4, 8\]"):
        SSGAN(GENERATOR, CRITIC, [1, 4, 8])
    assert rotated(random_images(2), torch.tensor([0, 2])).shape == (2, *SHAPE)
