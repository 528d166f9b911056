"""HiFi-GAN: its terms by hand, sums over discriminators, spectrograms as conditions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from scipy.io import wavfile

from gan_zoo.auxiliary_losses.mel import MelL1
from gan_zoo.config.build import build
from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, total_loss
from gan_zoo.data.datasets.tones import tones
from gan_zoo.data.derived import with_derived_conditions
from gan_zoo.data.derived_sounds import Mel
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.models.audio.hifigan import HiFiGAN
from gan_zoo.networks.audio.hifigan import HiFiGANDiscriminator, HiFiGANGenerator
from tests.helpers import invoke, refused

from .playing import gradients, reaches, turns

MEL = {"sample_rate": 8000, "window": 32, "hop": 8, "bands": 6}
SMALL = ("data.length=256", "data.num_samples=40", "generator.width=16", "generator.kernels=[3]")
SMALL = (*SMALL, "discriminator.width=1", "metric=none", "logger=none")


def pairs(count: int = 3) -> Batch:
    real = tones(length=64, num_samples=20).samples[:count]
    rng = StepRNG(0, 0)
    return Batch(count, rng, real=real, condition=Mel(**MEL)(real, rng))


def model(**options) -> HiFiGAN:
    return HiFiGAN(
        partial(HiFiGANGenerator, width=8, rates=(4, 2), kernels=(3,)),
        partial(HiFiGANDiscriminator, [1, 64], periods=(2, 3), scales=2, width=1),
        MelL1(**MEL),
        **{"a_shape": [6, 8], "b_shape": [1, 64]} | options,
    )


def test_terms_by_hand() -> None:
    """Eq. 5 to 7: sums over all discriminators, squares without 1/2, means over activations."""
    made, data = model(), pairs()
    made.discriminators.eval()  # power iterations would change the scores from pass to pass
    fake = made.generate(data)["fake"]
    on_critic, on_generator = turns(made, data, LeastSquares())
    of_fake = made.discriminators["main"](fake).parts
    of_real = made.discriminators["main"](data.real).parts
    assert len(of_fake) == 4
    features = sum(
        (f - r).abs().mean()
        for ours, theirs in zip(of_fake, of_real, strict=True)
        for f, r in zip(ours.features, theirs.features, strict=True)
    )
    mel = (Mel(**MEL)(fake, data.rng) - data.condition).abs().mean()
    torch.testing.assert_close(
        on_generator,
        {
            "g/realism": sum((part.score - 1).square().mean() for part in of_fake),
            "g/features": 2 * features,
            "g/reconstruction": 45 * mel,
        },
    )
    expected = sum(part.score.square().mean() for part in of_fake)
    expected = expected + sum((part.score - 1).square().mean() for part in of_real)
    torch.testing.assert_close(on_critic, {"d/realism": expected})


def test_who_is_trained_by_what() -> None:
    made, data = model(), pairs()
    on_critic, on_generator = turns(made, data, LeastSquares())
    assert all(reaches(term, made.generators) for term in on_generator.values())
    assert reaches(total_loss(on_critic), made.discriminators)
    assert not any(g.any() for g in gradients(total_loss(on_critic), made.generators).values())


def test_the_features_of_reals_are_constants() -> None:
    made, data = model(), pairs()
    data.real.requires_grad_()
    _, on_generator = turns(made, data, LeastSquares())
    (gradient,) = torch.autograd.grad(on_generator["g/features"], data.real, allow_unused=True)
    assert gradient is None or not gradient.any()


@pytest.mark.parametrize("left_out", ["features", "reconstruction"])
def test_terms_of_weight_zero_are_not_computed(left_out: str) -> None:
    name = {"features": "feature_weight"}.get(left_out, "reconstruction_weight")
    _, on_generator = turns(model(**{name: 0.0}), pairs(), LeastSquares())
    assert set(on_generator) == {"g/realism", "g/features", "g/reconstruction"} - {f"g/{left_out}"}


def test_packs_count_their_discriminators(tiny: Callable[..., DictConfig]) -> None:
    """The number of parts is found behind a wrapper."""
    _, module, _ = build(tiny("model=hifigan", "loss=lsgan", *SMALL, "pack=2"))
    assert module.model.num_discriminators == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "of mel spectrograms .* data/derive=mel"),
        ({"a_shape": [3, 8, 8]}, "of mel spectrograms"),
        ({"feature_weight": -1.0}, "feature_weight must be >= 0, got -1"),
        ({"adversarial_weight": -1.0}, "adversarial_weight must be >= 0"),
    ],
)
def test_impossible_models(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


def test_conditions_are_the_spectrograms_of_the_samples_themselves() -> None:
    source = with_derived_conditions(tones(length=256, num_samples=40), Mel(8000))
    assert source.available_fields >= {"image"}
    assert Mel(8000).condition_shape([1, 256]) == [64, 2]
    condition = Mel(8000)(source.samples, StepRNG(0, 0))
    assert condition.shape == (35, 64, 2)
    assert MelL1(8000, 512, 128, 64)(source.samples, source.samples) == 0
    assert source.evaluation_split().derivation is source.derivation


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mel(0), "data/derive=mel works on sounds, .* data.sample_rate >= 1, got 0: use"),
        (lambda: Mel(8000).condition_shape([2, 256]), "sounds of one channel, got 2"),
        (lambda: Mel(8000).condition_shape([1, 100]), "hop must divide the 100 samples"),
    ],
)
def test_impossible_spectrograms(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_images_are_refused_in_one_line(tmp_path: Path) -> None:
    line = refused("train", "model=hifigan", "data=digits", f"hydra.run.dir={tmp_path}")
    assert "data/derive=mel works on sounds" in line


def test_a_run_rebuilds_sounds_that_it_did_not_see(trained, tmp_path: Path) -> None:
    run = trained("model=hifigan", "loss=lsgan", *SMALL)
    invoke("sample", run, "--count", 2, "--device", "cpu", "--out", tmp_path / "made")
    rate, numbers = wavfile.read(tmp_path / "made" / "000001.wav")
    assert (rate, len(numbers)) == (8000, 256)
    assert "does not translate images" in refused("translate", run, tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_a_vocoder_as_onnx(trained, tmp_path: Path) -> None:
    run = trained("model=hifigan", "loss=lsgan", *SMALL)
    invoke("export", run, tmp_path / "export", "--onnx")
    assert (tmp_path / "export" / "generator.onnx").is_file()


def test_the_preset_has_the_papers_numbers(composed: Callable[..., DictConfig]) -> None:
    config = composed("model=hifigan", "loss=lsgan", "optim=hifigan")
    weights = config.model
    # The loss here has a factor of 1/2, which the weight takes back.
    assert 0.5 * weights.adversarial_weight == 1
    assert (weights.feature_weight, weights.reconstruction_weight) == (2, 45)
    for side in ("generator", "discriminator"):
        assert (config.optim[side].lr, config.optim[side].betas) == (2e-4, [0.8, 0.99])
    assert list(config.discriminator.periods) == [2, 3, 5, 7, 11]
    assert config.discriminator.scales == 3
    assert list(config.generator.dilations) == [1, 3, 5]
