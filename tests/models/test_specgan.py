"""SpecGAN: the scale of the bins, what the players see, how samples become sounds, resuming."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from gan_zoo.config.build import build, build_module
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.spectrogram import stft
from gan_zoo.core.types import Batch, SampleRequest
from gan_zoo.data.datasets.tones import tones
from gan_zoo.launch.train import train
from gan_zoo.losses.wasserstein import Wasserstein
from gan_zoo.models.audio.specgan import LEAST_MAGNITUDE, LogSpectrogram, SpecGAN
from gan_zoo.networks.audio.specgan import SpecGANDiscriminator, SpecGANGenerator
from tests.helpers import invoke, refused

from .playing import reaches, turns

SMALL = ("data.length=256", "data.num_samples=40", "generator.width=2", "discriminator.width=2")
Tiny = Callable[..., DictConfig]


def sounds(count: int = 20, length: int = 256) -> Tensor:
    return tones(length=length, num_samples=count + 10).samples[:count]


def model(length: int = 256, **options) -> SpecGAN:
    return SpecGAN(
        partial(SpecGANGenerator, width=2),
        partial(SpecGANDiscriminator, width=2),
        [1, length],
        **options,
    )


def main_part(made: SpecGAN) -> LogSpectrogram:
    return made.spectrogram(made.generators)


@pytest.mark.parametrize(
    ("length", "window", "shape"),
    [(64, 16, [1, 8, 8]), (4096, 128, [1, 64, 64]), (16384, 256, [1, 128, 128])],
)
def test_spectrograms_are_square_as_in_the_paper(length: int, window: int, shape) -> None:
    """16,384 samples: windows of 256, 128 apart, 128 x 128."""
    made = model(length)
    assert (main_part(made).window, main_part(made).hop) == (window, window // 2)
    assert list(main_part(made)(torch.zeros(2, 1, length)).shape[1:]) == shape


def test_bins_have_mean_0_and_deviation_1_over_all_data() -> None:
    scale = LogSpectrogram(32, 16)
    data = sounds(20)
    scale.measure([data[:7], data[7:]])
    logarithms = (stft(data[:, 0], 32, 16)[:, :-1].abs() + LEAST_MAGNITUDE).log()
    by_bin = logarithms.transpose(0, 1).flatten(1)
    torch.testing.assert_close(scale.mean, by_bin.mean(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scale.deviation, by_bin.std(1, correction=0), atol=1e-4, rtol=1e-4)

    # Clipped at three deviations, which become 1.
    expected = ((logarithms - scale.mean[:, None]) / scale.deviation[:, None] / 3).clamp(-1, 1)
    torch.testing.assert_close(scale(data)[:, 0], expected, atol=1e-5, rtol=1e-4)
    loud = 1000 * data
    assert scale(loud).max() == 1


def test_magnitudes_come_back() -> None:
    """With the right phases a sound is rebuilt but for the highest bin and what was clipped."""
    scale = LogSpectrogram(32, 16)
    data = sounds(10)
    scale.measure([data])
    spectra = stft(data[:, 0], 32, 16)
    rebuilt = scale.sounds(scale(data), spectra[:, :-1].angle(), 0)
    assert rebuilt.shape == data.shape
    error = (rebuilt - data).square().mean() / data.square().mean()
    assert error < 0.02


def test_samples_are_sounds_within_bounds_and_functions_of_the_request() -> None:
    made = model()
    main_part(made).mean.fill_(5.0)
    first, again, other = (
        made.sample(SampleRequest(3, StepRNG(0, step)), made.generators) for step in (0, 0, 1)
    )
    assert first.shape == (3, 1, 256)
    assert first.abs().max() == 1, "clipped, as the loud mean asks for more"
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_players_see_spectrograms_alone() -> None:
    made = model()
    made.measure([sounds()])
    data = Batch(4, StepRNG(0, 0), real=sounds(4))
    fakes = made.generate(data)
    (term,) = made.adversarial_terms(data, fakes)
    assert torch.equal(term.real, main_part(made)(data.real))
    assert term.fake.shape == term.real.shape == (4, 1, 16, 16)
    on_critic, on_generator = turns(made, data, Wasserstein())
    score = made.discriminators["main"]
    expected = score(term.fake).score.mean() - score(term.real).score.mean()
    torch.testing.assert_close(on_critic["d/realism"], expected)
    assert reaches(on_generator["g/realism"], made.generators)


def test_statistics_are_those_of_the_data_before_the_first_step(tiny: Tiny) -> None:
    """Of no single batch, and in the averaged generators although these have not moved yet."""
    config = tiny("model=specgan", *SMALL, "loss.n_critic=3", "trainer.max_steps=1")
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    assert module.clock.generator_steps == 0
    expected = LogSpectrogram(32, 16)
    expected.measure([data.source.samples])
    for generators in (module.model.generators, module.ema.generators):
        assert torch.equal(generators["spectrogram"].mean, expected.mean)
        assert torch.equal(generators["spectrogram"].deviation, expected.deviation)


def test_a_checkpoint_holds_the_statistics(composed: Tiny, tmp_path: Path) -> None:
    """Resuming is exact, and samples need no data."""
    quick = ("logger=none", "metric=none", "data.batch_size=8", "loss.n_critic=1")
    options = ["model=specgan", "loss=wgan_gp", *SMALL, *quick]
    folders = [tmp_path / name for name in ("straight", "stopped")]
    for folder, steps in zip(folders, (4, 2), strict=True):
        train(composed(*options, f"trainer.max_steps={steps}", f"run_dir={folder}"))
    train(composed(*options, "trainer.max_steps=4", f"run_dir={folders[1]}", "resume=auto"))
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in folders
    ]
    assert states[0].keys() == states[1].keys()
    assert any(name.endswith("spectrogram.mean") for name in states[0])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    written = [folder.parent / f"{folder.name}-sounds" for folder in folders]
    for folder, target in zip(folders, written, strict=True):
        invoke("sample", folder, "--count", 2, "--device", "cpu", "--out", target)
    assert (written[0] / "000001.wav").read_bytes() == (written[1] / "000001.wav").read_bytes()


@pytest.mark.slow
def test_an_export_holds_the_scale_and_onnx_is_refused(trained, tmp_path: Path) -> None:
    run = trained("model=specgan", "loss.n_critic=1", *SMALL)
    invoke("export", run, tmp_path / "export")
    for folder, name in ((run, "one"), (tmp_path / "export", "other")):
        invoke("sample", folder, "--count", 1, "--device", "cpu", "--out", tmp_path / name)
    sounds = [(tmp_path / name / "000000.wav").read_bytes() for name in ("one", "other")]
    assert sounds[0] == sounds[1]
    line = refused("export", run, tmp_path / "onnx", "--onnx")
    assert "--onnx cannot write generator.onnx" in line


@pytest.mark.parametrize("regularizer", ["zcr", "mode_seeking"])
def test_samples_are_not_compared_with_fakes(regularizer: str, tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=f"regularizer={regularizer} compares samples with what"):
        build_module(tiny("model=specgan", *SMALL, f"regularizer=[{regularizer}]"))


def test_networks_of_images_work_too(tiny: Tiny) -> None:
    names = ("generator=dcgan", "discriminator=dcgan", "discriminator.norm=none")
    module = build_module(tiny("model=specgan", *SMALL, *names))
    assert module.model.sample(SampleRequest(2, StepRNG(0, 0)), module.model.generators).shape == (
        2,
        1,
        256,
    )


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ([3, 32, 32], {}, "model=specgan works on sounds of one channel"),
        ([2, 64], {}, "model=specgan works on sounds of one channel"),
        ([1, 64], {"window": 15}, "the window must be even, got 15"),
        ([1, 64], {"window": 16, "hop": 10}, "hop must divide the 64 samples"),
    ],
)
def test_impossible_sizes(shape: list[int], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpecGAN(SpecGANGenerator, SpecGANDiscriminator, shape, **options)


def test_the_preset_has_the_papers_numbers(composed: Tiny) -> None:
    config = composed("model=specgan", "loss=wgan_gp", "optim=wavegan")
    assert (config.model.iterations, config.model.latent_dim, config.model.prior) == (
        16,
        100,
        "uniform",
    )
    assert (config.optim.generator.lr, config.optim.generator.betas) == (1e-4, [0.5, 0.9])
    assert config.loss.n_critic == 5
    assert list(config.regularizer) == ["gradient_penalty"]
