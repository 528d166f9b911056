"""InfoMax-GAN: its bound by loops, its negatives, and both sides' terms."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from gan_zoo.auxiliary_losses.infonce import LocalGlobalInfoNCE
from gan_zoo.losses.hinge import Hinge
from gan_zoo.models.infomax_gan import InfoMaxGAN, Projection
from gan_zoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_zoo.networks.resnet import ResNetDiscriminator

from .playing import CRITIC, GENERATOR, SHAPE, gradients, reaches, turns
from .playing import batch as small_batch

IMAGES = [1, 16, 16]
SHAPE_OF_8 = [1, 8, 8]
LOCAL = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
GLOBAL = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).double()


def loops(local: np.ndarray, globals_: np.ndarray, own_places: bool = False) -> float:
    """Equation 6 as loops; `own_places` is the mistaken twin that takes other places of an image as negatives."""
    losses = []
    for n in range(len(local)):
        for i in range(len(local[0])):
            positive = np.exp(local[n, i] @ globals_[n])
            negatives = [
                np.exp(local[m, j] @ globals_[n])
                for m in range(len(local))
                for j in range(len(local[0]))
                if m != n or (own_places and j != i)
            ]
            losses.append(-np.log(positive / (positive + sum(negatives))))
    return float(np.mean(losses))


def test_the_bound_by_loops() -> None:
    found = LocalGlobalInfoNCE()(LOCAL, GLOBAL).item()
    assert found == pytest.approx(loops(LOCAL.numpy(), GLOBAL.numpy()))
    assert found != pytest.approx(loops(LOCAL.numpy(), GLOBAL.numpy(), own_places=True))


def test_gradients_of_the_bound() -> None:
    local, globals_ = LOCAL.clone().requires_grad_(), GLOBAL.clone().requires_grad_()
    torch.autograd.gradcheck(LocalGlobalInfoNCE(), (local, globals_))
    # Large products neither overflow nor lose the gradient.
    assert LocalGlobalInfoNCE()(300 * local, 300 * globals_).isfinite()


def test_the_order_of_images_does_not_matter() -> None:
    order = torch.tensor([2, 0, 1])
    shuffled = LocalGlobalInfoNCE()(LOCAL[order], GLOBAL[order])
    torch.testing.assert_close(shuffled, LocalGlobalInfoNCE()(LOCAL, GLOBAL))


def test_projections_by_hand() -> None:
    projection, x = Projection(3, 2).eval(), torch.randn(4, 6, 3)
    expected = projection.out(projection.hidden(x).relu()) + projection.skip(x)
    torch.testing.assert_close(projection(x), expected)


def images(size: int = 4) -> torch.Tensor:
    return torch.randn(size, *IMAGES, generator=torch.Generator().manual_seed(0)).tanh()


@pytest.mark.parametrize(
    ("discriminator", "places"),
    [
        (partial(DCGANDiscriminator, IMAGES, 4, norm="none"), 8 * 8),
        (partial(ResNetDiscriminator, IMAGES, 4), 8 * 8),
    ],
)
def test_both_sides(discriminator, places: int) -> None:
    torch.manual_seed(0)
    model = InfoMaxGAN(
        partial(DCGANGenerator, sample_shape=IMAGES, width=4),
        discriminator,
        LocalGlobalInfoNCE(),
        IMAGES,
        discriminator_weight=0.3,
        generator_weight=0.7,
        projection_dim=6,
        latent_dim=4,
    )
    data = small_batch(4)
    data.real = images()
    of_discriminator, of_generator = turns(model, data, Hinge())
    model.eval()
    network = model.discriminators["main"]
    local, globals_ = network(data.real).aux
    assert local.shape == (4, places, 6)
    assert globals_.shape == (4, 6)
    information = of_discriminator["d/information"]
    found = gradients(information, network.local) | gradients(information, network.globals)
    assert any(gradient.any() for gradient in found.values())
    assert not any(g.any() for g in gradients(information, model.generators).values())
    assert reaches(of_generator["g/information"], model.generators["main"].layers[1])
    assert not any(
        g.any() for g in gradients(of_generator["g/information"], model.discriminators).values()
    )


class Constant(torch.nn.Module):
    def forward(self, local: torch.Tensor, globals_: torch.Tensor) -> torch.Tensor:
        return 2.0 + 0 * local.sum() + 0 * globals_.sum()


def test_weights_of_both_sides() -> None:
    discriminator = partial(DCGANDiscriminator, SHAPE_OF_8, 4)
    generator = partial(DCGANGenerator, sample_shape=SHAPE_OF_8, width=4)
    model = InfoMaxGAN(generator, discriminator, Constant(), SHAPE_OF_8, 0.3, 0.7, 6, 4)
    data = small_batch(4)
    data.real = torch.zeros(4, *SHAPE_OF_8)
    of_discriminator, of_generator = turns(model, data, Hinge())
    assert of_discriminator["d/information"].item() == pytest.approx(0.6)
    assert of_generator["g/information"].item() == pytest.approx(1.4)


def test_a_discriminator_without_places_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a discriminator that shows its local activations"):
        InfoMaxGAN(GENERATOR, CRITIC, LocalGlobalInfoNCE(), SHAPE)
