"""SRGAN and ESRGAN: terms by hand, who is trained by what, weights of 0, a run that starts from PSNR training."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.reconstruction import L1, L2
from gan_zoo.config.build import build_module
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, total_loss
from gan_zoo.data.derived import Downscale
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.losses.relativistic import RelativisticAverage
from gan_zoo.models.translation.srgan import SRGAN
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.super_resolution import SRResNet
from tests.helpers import invoke

from .playing import gradients, reaches, turns

SHAPE = [3, 8, 8]


class Halves(nn.Module):
    """Stands for a distance of features: that of the left halves of images."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        distance: Tensor = L1()(output[..., :4], target[..., :4])
        return distance


def pairs(size: int = 2) -> Batch:
    real = torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(0)).tanh()
    rng = StepRNG(0, 0)
    return Batch(size, rng, real=real, condition=Downscale(2)(real, rng))


def model(**options) -> SRGAN:
    return SRGAN(
        lambda in_shape, out_shape: SRResNet(in_shape, out_shape, width=4, blocks=1, kernel=3),
        lambda: PatchGAN(SHAPE, layers=1, width=4),
        L2(),
        Halves(),
        **{"a_shape": [3, 4, 4], "b_shape": SHAPE} | options,
    )


def test_terms_by_hand() -> None:
    made, data = (
        model(reconstruction_weight=3, perceptual_weight=0.5, adversarial_weight=0.01),
        pairs(),
    )
    fake = made.generate(data)["fake"]
    assert fake.shape == data.real.shape
    on_critic, on_generator = turns(made, data, NonSaturating())
    score = made.discriminators["main"](fake).score
    of_real = made.discriminators["main"](data.real).score
    softplus = nn.functional.softplus
    torch.testing.assert_close(
        on_generator,
        {
            "g/realism": 0.01 * softplus(-score).mean(),
            "g/reconstruction": 3 * (fake - data.real).square().mean(),
            "g/perceptual": 0.5 * (fake - data.real)[..., :4].abs().mean(),
        },
    )
    by_hand = softplus(-of_real).mean() + softplus(score).mean()
    torch.testing.assert_close(on_critic, {"d/realism": by_hand})


def test_who_is_trained_by_what() -> None:
    made, data = model(), pairs()
    on_critic, on_generator = turns(made, data, NonSaturating())
    assert all(reaches(term, made.generators) for term in on_generator.values())
    assert not any(g.any() for g in gradients(total_loss(on_critic), made.generators).values())


def test_the_discriminator_does_not_see_the_input() -> None:
    """A mistaken twin would hand it the small image, as pix2pix does."""
    made, data = model(), pairs()
    (term,) = made.adversarial_terms(data, made.generate(data))
    assert term.real_condition is term.fake_condition is None


@pytest.mark.parametrize("left_out", ["reconstruction", "perceptual"])
def test_terms_of_weight_zero_are_not_computed(left_out: str) -> None:
    made, data = model(**{f"{left_out}_weight": 0.0}), pairs()
    _, on_generator = turns(made, data, NonSaturating())
    kept = {"g/realism", "g/reconstruction", "g/perceptual"} - {f"g/{left_out}"}
    assert set(on_generator) == kept


def test_training_for_psnr_alone() -> None:
    made, data = model(perceptual_weight=0.0, adversarial_weight=0.0), pairs()
    _, on_generator = turns(made, data, NonSaturating())
    torch.testing.assert_close(
        total_loss(on_generator), (made.generate(data)["fake"] - data.real).square().mean()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=srgan needs data of two domains of images"),
        ({"a_shape": [3, 3, 3]}, "generator=srresnet enlarges images"),
        ({"adversarial_weight": -1.0}, "must be >= 0 and not all 0, got 1.0, 0.1, -1.0"),
        (
            dict.fromkeys(
                ("reconstruction_weight", "perceptual_weight", "adversarial_weight"), 0.0
            ),
            "must be >= 0 and not all 0, got 0.0, 0.0, 0.0",
        ),
    ],
)
def test_impossible_models(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


@pytest.mark.parametrize("factor", [2, 4])
def test_scales_of_the_preset(factor: int, composed) -> None:
    config = composed("model=srgan", f"data.derive.factor={factor}", "generator.width=4")
    assert list(config.data.condition_shape) == [3, 32 // factor, 32 // factor]
    network = build_module(config).model.generators["main"]
    assert network(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * factor, 7 * factor)


SMALL = ("model=srgan", "generator.width=4", "generator.blocks=1", "discriminator.width=4")


def test_a_run_starts_from_psnr_training_and_enlarges_a_folder(
    trained, composed, tmp_path: Path
) -> None:
    first = trained(*SMALL, "model.perceptual_weight=0", "model.adversarial_weight=0")
    kept = tmp_path / "psnr"
    first.rename(kept)
    run = trained(*SMALL, f"init={kept}", "init_only=generator")

    source = tmp_path / "images"
    source.mkdir()
    Image.effect_noise((24, 16), 90).convert("RGB").save(source / "one.png")
    invoke("translate", run, source, tmp_path / "out", "--full-size")
    assert np.asarray(Image.open(tmp_path / "out" / "one.png")).shape == (32, 48, 3)


# ------------------------------------------------------------------ ESRGAN


@pytest.mark.parametrize("factor", [2, 4])
def test_esrgan_composes_the_numbers_of_its_paper(factor: int, composed) -> None:
    config = composed(
        "model=esrgan", "loss=ragan", f"data.derive.factor={factor}", "generator.width=4"
    )
    weights = config.model
    assert weights.reconstruction_weight == 0.01
    assert weights.perceptual_weight == 1
    assert weights.adversarial_weight == 0.005
    network = build_module(config).model.generators["main"]
    assert network(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * factor, 7 * factor)


def test_the_relativistic_average_reaches_the_generator_through_both_sides() -> None:
    """sp(mean D(G) - D(b)) + sp(D(b's mean) - D(G)), halved; a twin with constant reals or a constant mean of fakes has
    another gradient.
    """
    made, data = model(perceptual_weight=0.0, reconstruction_weight=0.0), pairs()
    _, on_generator = turns(made, data, RelativisticAverage())
    discriminator = made.discriminators["main"]
    fake = made.generate(data)["fake"]
    score, of_real = discriminator(fake).score, discriminator(data.real).score.detach()
    softplus = nn.functional.softplus

    def by_hand(mean_of_fakes: Tensor) -> Tensor:
        of_fakes = softplus(of_real.mean() - score).mean()
        return 0.001 * 0.5 * (softplus(of_real - mean_of_fakes).mean() + of_fakes)

    whole, half = by_hand(score.mean()), by_hand(score.mean().detach())
    torch.testing.assert_close(on_generator, {"g/realism": whole})
    expected, lost = (gradients(term, made.generators) for term in (whole, half))
    found = gradients(on_generator["g/realism"], made.generators)
    torch.testing.assert_close(found, expected)
    assert any((found[name] - lost[name]).abs().max() > 0 for name in found)


def test_an_esrgan_run_starts_from_psnr_training(trained, tmp_path: Path, capsys) -> None:
    small = ("model=esrgan", "loss=ragan", "generator.width=4", "generator.growth=4")
    small = (*small, "generator.blocks=1", "discriminator.width=4")
    first = trained(*small, "model.perceptual_weight=0", "model.adversarial_weight=0")
    kept = tmp_path / "psnr"
    first.rename(kept)
    capsys.readouterr()
    trained(*small, f"init={kept}", "init_only=generator")
    assert re.search(r"init +(\d+) of \1 tensors", capsys.readouterr().out)
