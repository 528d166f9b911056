"""Terms that compare scores or activations sample by sample see both under the same augmentation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.augmentation.base import AugmentedDiscriminator
from gan_zoo.augmentation.diffaugment import DiffAugment
from gan_zoo.auxiliary_losses.classification import GaussianKL
from gan_zoo.core.comparable_outputs import comparable_outputs, is_augmented
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Batch, DiscriminatorOutput
from gan_zoo.models.gan import GAN
from gan_zoo.models.translation.pix2pixhd import Pix2PixHD
from gan_zoo.models.with_encoder.vae_gan import VAEGAN
from gan_zoo.regularizers.consistency import Consistency
from gan_zoo.regularizers.zcr import LatentConsistency

SHAPE = (3, 16, 16)


class MeanColor(nn.Module):
    """Scores by the mean of all values, which no flip or shift inside of the image changes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.scale * x.mean((1, 2, 3)), x, features=(x,))


def augmented(_: object = None, **__: object) -> AugmentedDiscriminator:
    return AugmentedDiscriminator(MeanColor(), DiffAugment())


def images(seed: int, size: int = 8) -> Tensor:
    return 2 * torch.rand(size, *SHAPE, generator=torch.Generator().manual_seed(seed)) - 1


def test_the_same_sample_gets_the_same_output() -> None:
    x = images(0)
    before = torch.random.get_rng_state()
    first, again = comparable_outputs(augmented(), [(x, None), (x, None)], StepRNG(0, 0))
    assert torch.equal(first.features[0], again.features[0])
    assert not torch.equal(first.features[0], x)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert is_augmented(nn.Sequential(augmented()))
    assert not is_augmented(MeanColor())


def test_consistency_is_not_that_of_the_augmentation() -> None:
    x, fake = images(0), images(1)
    term = AdversarialTerm("realism", augmented(), x, fake)
    outputs = term.discriminate_real(), term.discriminate_fake()
    penalty = Consistency(shift=0).penalty(term, *outputs, StepRNG(0, 1))
    # Half of the images are flipped, which moves them against their shifts and cutouts.
    apart = 10 * (outputs[0].score - term.discriminate_real().score).square().mean()
    assert penalty < apart / 4


class Constant(nn.Module):
    """The same image for all latents, so that a change of them changes nothing."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.image = nn.Parameter(images(2, 1)[0])

    def forward(self, latents: Tensor) -> Tensor:
        return self.image.expand(len(latents), *SHAPE)


def test_latent_consistency_is_not_that_of_the_augmentation() -> None:
    model = GAN(Constant, augmented, latent_dim=4)
    batch = Batch(8, StepRNG(0, 0), real=images(0))
    fakes = model.generate(batch)
    penalty = LatentConsistency().discriminator_penalty(model, batch, fakes)
    assert penalty is not None
    assert penalty.item() == pytest.approx(0)


class Same(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def features_of(model, batch: Batch) -> float:
    """The generators' term ``features`` in a step of this batch."""
    fakes = model.generate(batch)
    outputs = [AdversarialTermOutputs(term) for term in model.adversarial_terms(batch, fakes)]
    return float(model.generator_terms(batch, fakes, outputs)["features"])


class AdversarialTermOutputs:
    """As the generator step makes them: two passes, each with an augmentation of its own."""

    def __init__(self, term: AdversarialTerm) -> None:
        self.term = term
        self.fake = term.discriminate_fake()
        self.real = term.discriminate_real()


def test_a_perfect_translation_has_the_target_s_features() -> None:
    model = Pix2PixHD(lambda **_: Same(), augmented, nn.L1Loss(), SHAPE, SHAPE)
    x = images(0)
    assert features_of(model, Batch(8, StepRNG(0, 0), real=x, condition=x)) == pytest.approx(0)
    other = features_of(model, Batch(8, StepRNG(0, 0), real=x, condition=images(1)))
    assert other > 1


def test_a_perfect_reconstruction_has_the_image_s_features() -> None:
    x = images(0)

    class Encoder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mu = x.flatten(1)
            return torch.cat([mu, torch.full_like(mu, -80.0)], 1)

    def decoder(latent_dim: int) -> nn.Module:
        return nn.Unflatten(1, SHAPE)

    size = x[0].numel()
    model = VAEGAN(decoder, lambda outputs: Encoder(), augmented, GaussianKL(), size)
    assert features_of(model, Batch(8, StepRNG(0, 0), real=x)) == pytest.approx(0, abs=1e-9)
