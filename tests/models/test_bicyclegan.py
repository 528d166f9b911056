"""BicycleGAN: terms by hand, who is trained by what, latents in the U-Net, a mistaken twin, a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.classification import GaussianKL
from gan_zoo.auxiliary_losses.reconstruction import L1
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, SampleRequest, total_loss
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.models.translation.bicyclegan import BicycleGAN
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.latent_unet import LatentUNet
from tests.helpers import invoke

from .playing import gradients, reaches, turns

SHAPE = [3, 8, 8]


class Shifted(nn.Module):
    """G(a, z) = scale a + the mean of z."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        return self.scale * x + latents.mean(1)[:, None, None, None]


class Moments(nn.Module):
    """E(b): mu = weight times the mean of b, log variance = bias, in both latents."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(-1.0))

    def forward(self, x: Tensor) -> Tensor:
        mu = self.weight * x.flatten(1).mean(1, keepdim=True).expand(-1, 2)
        return torch.cat([mu, self.bias.expand(len(x), 2)], 1)


def images(size: int, seed: int) -> Tensor:
    return torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(seed)).tanh()


def pairs(size: int = 3) -> Batch:
    return Batch(size, StepRNG(0, 0), real=images(size, 0), condition=images(size, 1))


def of_numbers(kind: type[BicycleGAN] = BicycleGAN, **options) -> BicycleGAN:
    return kind(
        lambda in_shape, out_shape, latent_dim: Shifted(),
        lambda outputs: Moments(),
        lambda condition_channels=0: PatchGAN(SHAPE, condition_channels, layers=1, width=4),
        L1(),
        GaussianKL(),
        **{"a_shape": SHAPE, "b_shape": SHAPE, "latent_dim": 2} | options,
    )


class TrainsTheEncoder(BicycleGAN):
    """Lets the encoder read what the translator wrote: the two may agree on a code nobody sees."""

    def constant_encoder(self, x: Tensor) -> Tensor:
        return self.generators["encoder"](x).chunk(2, dim=1)[0]


def test_terms_by_hand() -> None:
    model, data = of_numbers(reconstruction_weight=3.0, kl_weight=0.1, latent_weight=0.7), pairs()
    a, b = data.condition, data.real
    mu = 2 * b.flatten(1).mean(1)
    z = data.rng.normal("latents", 3, 2)
    codes = mu[:, None] + torch.tensor(-0.5).exp() * data.rng.normal("posterior", 3, 2)
    fake = 0.5 * a + z.mean(1)[:, None, None, None]
    encoded = 0.5 * a + codes.mean(1)[:, None, None, None]
    variance = torch.tensor(-1.0).exp()
    found = 2 * fake.flatten(1).mean(1, keepdim=True)
    expected = {
        "reconstruction": 3 * (encoded - b).abs().mean(),
        "kl": 0.1 * 0.5 * (2 * (mu.square() + variance - 1 + 1)).mean(),
        "latent": 0.7 * (found - z).abs().mean(),
    }
    fakes = model.generate(data)
    torch.testing.assert_close(model.generator_terms(data, fakes, []), expected)
    torch.testing.assert_close(fakes["fake"], fake)
    torch.testing.assert_close(fakes["encoded"], encoded)


def test_each_kind_of_latents_has_its_discriminator() -> None:
    model, data = of_numbers(), pairs()
    fakes = model.generate(data)
    encoded, random = model.adversarial_terms(data, fakes)
    assert (encoded.name, random.name) == model.term_names == ("encoded", "random")
    assert encoded.fake is fakes["encoded"]
    assert random.fake is fakes["fake"]
    assert encoded.discriminator is not random.discriminator
    assert encoded.real_condition is encoded.fake_condition is data.condition
    (term, _) = of_numbers(conditional=False).adversarial_terms(data, fakes)
    assert term.real_condition is term.fake_condition is None


def latent_term(kind: type[BicycleGAN]) -> dict[str, Tensor]:
    model, data = of_numbers(kind), pairs()
    return gradients(model.generator_terms(data, model.generate(data), [])["latent"], model)


def test_the_latent_term_trains_the_translator_alone() -> None:
    found = latent_term(BicycleGAN)
    assert found["generators.main.scale"].abs() > 0
    assert found["generators.encoder.weight"] == found["generators.encoder.bias"] == 0
    wrong = latent_term(TrainsTheEncoder)
    assert wrong["generators.encoder.weight"] != 0
    torch.testing.assert_close(wrong["generators.main.scale"], found["generators.main.scale"])


def test_kl_does_not_depend_on_the_batch_size() -> None:
    data = pairs(2)
    twice = Batch(
        4, data.rng, torch.cat([data.real] * 2), condition=torch.cat([data.condition] * 2)
    )
    model = of_numbers()
    once, doubled = (model.generator_terms(d, model.generate(d), [])["kl"] for d in (data, twice))
    torch.testing.assert_close(once, doubled)


def test_who_is_trained_by_what() -> None:
    model, data = of_numbers(), pairs()
    on_critics, on_translator = turns(model, data, LeastSquares())
    assert set(on_critics) == {"d/encoded", "d/random"}
    assert set(on_translator) == {
        *("g/encoded", "g/random", "g/reconstruction", "g/kl", "g/latent"),
    }
    encoder = model.generators["encoder"]
    trained = {name for name, term in on_translator.items() if reaches_any(term, encoder)}
    assert trained == {"g/encoded", "g/reconstruction", "g/kl"}
    assert reaches(total_loss(on_translator), model.generators)
    assert not any(g.any() for g in gradients(total_loss(on_critics), model.generators).values())


def reaches_any(loss: Tensor, network: nn.Module) -> bool:
    return any(bool(gradient.any()) for gradient in gradients(loss, network).values())


# ------------------------------------------------------------------ the U-Net


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_the_unet_keeps_the_size_and_depends_on_latents(norm: str) -> None:
    network = LatentUNet([3, 16, 16], [1, 16, 16], latent_dim=2, width=4, norm=norm)
    x, z = torch.randn(2, 3, 16, 16), torch.randn(2, 2)
    y = network(x, z)
    assert y.shape == (2, 1, 16, 16)
    assert y.abs().max() <= 1
    assert (network(x, z + 1) - y).abs().max() > 1e-5


def test_every_halving_gets_the_latents() -> None:
    network = LatentUNet([3, 16, 16], [3, 16, 16], latent_dim=2, width=4, norm="none")
    network(torch.randn(2, 3, 16, 16), torch.randn(2, 2)).square().sum().backward()
    for layer in network.down:
        conv = layer[0]
        assert conv.weight.grad[:, -2:].abs().max() > 0
    assert [layer[0].in_channels for layer in network.down] == [5, 6, 10]
    assert network.multiple == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=bicyclegan needs data of two domains of images"),
        ({"kl_weight": -1.0}, "must be >= 0, latent_dim >= 1, got 10.0, -1.0, 0.5 and 2"),
        ({"latent_dim": 0}, "got 10.0, 0.01, 0.5 and 0"),
    ],
)
def test_impossible_bicycles(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_numbers(**options)


# ------------------------------------------------------------------ what users see


def test_what_a_viewer_sees() -> None:
    model, data = of_numbers(), pairs()
    request = SampleRequest(3, data.rng, condition=data.condition, target=data.real)
    views = model.visuals(request, model.generators)
    assert list(views) == ["input", "sample", "other latents", "encoded", "target"]
    assert not torch.allclose(views["sample"], views["other latents"])
    mu = 2 * data.real.flatten(1).mean(1)
    expected = 0.5 * data.condition + mu[:, None, None, None]
    torch.testing.assert_close(views["encoded"], expected)


SMALL = ("generator.width=4", "discriminator.width=4", "data.batch_size=2", "data.image_size=16")


def test_a_run_translates_an_image_several_times(trained, tmp_path: Path) -> None:
    source, out = tmp_path / "images", tmp_path / "out"
    source.mkdir()
    Image.effect_noise((24, 16), 90).convert("RGB").save(source / "one.png")
    run = trained("model=bicyclegan", *SMALL, "discriminator.layers=1")
    invoke("translate", run, source, out, "--full-size", "--num-outputs", 2)
    first, second = (Image.open(out / f"one-{number}.png") for number in (1, 2))
    assert first.size == second.size == (24, 16)
    assert first.tobytes() != second.tobytes()
    invoke("translate", run, source, out / "single", "--full-size")
    assert Image.open(out / "single" / "one.png").tobytes() == first.tobytes()
