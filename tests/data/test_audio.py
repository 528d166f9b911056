"""Sounds: spectrograms, WAV files, synthetic tones, folders."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from gan_zoo.config.compose import compose_overrides
from gan_zoo.core.errors import DataError
from gan_zoo.core.mel import mel_filters
from gan_zoo.data.datasets.audio_folder import audio_folder
from gan_zoo.data.datasets.tones import VOICES, tones
from gan_zoo.data.files.audio_io import resampled
from gan_zoo.data.sample_kinds.audio import Audio, to_int16
from gan_zoo.data.spectrograms import as_images, log_mel
from tests.helpers import invoke, refused

RATE = 8000


def sine(hertz: float, rate: int = RATE, count: int = 2048, level: float = 1.0) -> np.ndarray:
    return (level * np.sin(2 * math.pi * hertz * np.arange(count) / rate)).astype(np.float32)


def loudest(sound: np.ndarray, rate: int) -> float:
    """The frequency with the most power."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * rate / len(sound))


def test_a_sine_is_at_its_band_and_level() -> None:
    # Band b is centered on 700 (10^(m_b / 2595) - 1), m_b evenly spaced from 0 to that of 4 kHz.
    top = 2595 * math.log10(1 + 4000 / 700)
    center = 700 * (10 ** (20 / 65 * top / 2595) - 1)
    spectrogram = log_mel(torch.from_numpy(sine(center, level=0.1))[None, None], RATE)
    assert spectrogram.shape[:3] == (1, 1, 64)
    middle = spectrogram[0, 0, :, spectrogram.shape[3] // 2]
    assert middle.argmax() == 19
    # -20 dB, spread over the window's main lobe.
    assert -23 < middle.max() < -16
    assert log_mel(torch.zeros(1, 1, 2048), RATE).eq(-80).all()
    assert as_images(spectrogram)[0, 0, 63 - 19].max() == as_images(spectrogram).max()


def test_no_band_is_empty() -> None:
    for rate, size in ((4000, 128), (8000, 256), (44100, 1024)):
        assert (mel_filters(rate, size).sum(1) > 0).all()


def test_files_hold_the_samples_in_16_bits(tmp_path: Path) -> None:
    sounds = torch.tensor([[[0.0, 0.5, -1.0, 1.0, 7.0, -7.0]]])
    assert to_int16(sounds).flatten().tolist() == [0, 16384, -32767, 32767, 32767, -32768]
    assert Audio(RATE).write([sounds, sounds], tmp_path / "out") == 2
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "000000.wav",
        "000001.wav",
    ]
    rate, numbers = wavfile.read(tmp_path / "out" / "000001.wav")
    assert (rate, numbers.dtype) == (RATE, np.int16)
    assert numbers.tolist() == to_int16(sounds).flatten().tolist()


def test_drawings_show_low_frequencies_at_the_bottom() -> None:
    data = tones(length=1024, num_samples=40)
    low = torch.from_numpy(sine(200, count=1024))[None, None]
    image = np.asarray(data.sample_kind.draw(low, data), dtype=float).sum(2)
    assert image.shape[0] == 64
    assert image[56:].mean() > 5 * image[:32].mean()
    long = data.sample_kind.draw(torch.zeros(4, 1, 65536), data)
    assert max(long.size) < 300


def test_tones_are_a_function_of_the_seed() -> None:
    data = tones(length=512, num_samples=100)
    assert data.samples.shape == (90, 1, 512)
    assert data.samples.dtype == torch.float32
    peaks = data.samples.abs().amax(2)
    assert 0.3 <= peaks.min() < peaks.max() <= 0.9
    assert torch.equal(tones(length=512, num_samples=100).samples, data.samples)
    assert not torch.equal(tones(length=512, num_samples=100, seed=1).samples, data.samples)
    assert data.labels.bincount().tolist() == [18] * 5
    assert data.classes == list(VOICES)


def test_tones_hold_out_others() -> None:
    data = tones(length=512, num_samples=100)
    rest = data.evaluation_split()
    assert len(rest) == 10
    assert torch.cdist(rest.samples.flatten(1), data.samples.flatten(1)).min() > 0.1
    assert len(tones(length=512, num_samples=100, split="all")) == 100


def test_plucked_strings_have_their_pitch() -> None:
    generator = torch.Generator().manual_seed(3)
    sound = VOICES["plucked"](1, 8192, RATE, generator)[0].double()
    # A period of P + 1/2 samples: the average of two neighbors delays by half of one.
    again = torch.Generator().manual_seed(3)
    period = round(RATE / float(100 * 4 ** torch.rand(1, 1, generator=again)))
    spectrum = torch.fft.rfft(sound * torch.hann_window(8192, dtype=torch.float64)).abs()
    expected = 8192 / (period + 0.5)
    near = spectrum[int(0.8 * expected) : int(1.2 * expected) + 1]
    assert int(0.8 * expected) + int(near.argmax()) == pytest.approx(expected, abs=1.5)


def test_resampling_keeps_the_pitch_and_the_level() -> None:
    for rate in (44100, 22050, 11025, 16000, 8000):
        found = resampled(sine(440, rate, rate), rate, RATE)
        assert abs(len(found) - RATE) <= 1
        assert loudest(found, RATE) == pytest.approx(440, abs=2)
        assert np.abs(found[100:-100]).max() == pytest.approx(1, abs=0.02)
    # What is above half the new rate is gone.
    assert np.abs(resampled(sine(6000, 44100, 44100), 44100, RATE)[100:-100]).max() < 0.01


@pytest.fixture
def soundfile():
    return pytest.importorskip("soundfile")


@pytest.fixture
def folder(tmp_path: Path, soundfile) -> Path:
    """Two classes in all formats, rates, bit depths and numbers of channels."""
    root = tmp_path / "sounds"
    (root / "high").mkdir(parents=True)
    (root / "low").mkdir()
    for name, hertz in (("low", 300), ("high", 1500)):
        soundfile.write(root / name / "a.wav", sine(hertz, 44100, 44100), 44100, "PCM_24")
        soundfile.write(root / name / "b.flac", sine(hertz, 16000, 500), 16000)
        stereo = np.stack([sine(hertz, 22050, 22050), np.zeros(22050, np.float32)], 1)
        soundfile.write(root / name / "c.ogg", stereo, 22050)
        soundfile.write(root / name / "d.mp3", sine(hertz, 32000, 32000), 32000)
        eight = np.stack([sine(hertz, RATE, RATE)] * 8, 1)
        soundfile.write(root / name / "e.wav", eight, RATE, "FLOAT")
        soundfile.write(root / name / "f.wav", sine(hertz, 11025, 11025), 11025, "PCM_U8")
    (root / "low" / "notes.txt").write_text("not a sound")
    return root


def test_a_folder_of_every_format(folder: Path) -> None:
    data = audio_folder(str(folder), length=1024, sample_rate=RATE)
    assert data.samples.shape == (12, 1, 1024)
    assert data.classes == ["high", "low"]
    assert data.labels.tolist() == [0] * 6 + [1] * 6
    for number, sound in enumerate(data.samples[:, 0].numpy()):
        kind, hertz = number % 6, 1500 if number < 6 else 300
        assert loudest(sound[:250], RATE) == pytest.approx(hertz, abs=40)
        # Half of the stereo file is silent; the short file has 250 samples, then silence.
        peak = np.abs(sound[200:240]).max() if kind == 1 else np.abs(sound[500:]).max()
        assert peak == pytest.approx(0.5 if kind == 2 else 1, abs=0.08)
    assert data.samples[1, 0, 260:].abs().max() == 0


def test_the_cache_and_the_held_out_part(folder: Path, monkeypatch) -> None:
    data = audio_folder(str(folder), length=256, sample_rate=RATE, test_share=0.4)
    rest = data.evaluation_split()
    assert 0 < len(rest) < 12
    assert len(rest) + len(data) == 12
    monkeypatch.setattr(
        "gan_zoo.data.datasets.audio_folder.read_sound", lambda *_: pytest.fail("read again")
    )
    again = audio_folder(str(folder), length=256, sample_rate=RATE, test_share=0.4)
    assert torch.equal(again.samples, data.samples)
    assert again.fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.wav", "1 of 13 sounds cannot be read: .*low/empty.wav"),
        ("one.wav", "low/one.wav .it needs at least 2 samples, got 1"),
        ("nan.wav", "low/nan.wav .it holds numbers that are not finite"),
        ("text.mp3", "1 of 13 sounds cannot be read: .*low/text.mp3"),
        ("odd.wav", "its sample rate of 7919 has no small ratio to 8000"),
    ],
)
def test_bad_files_are_named_or_left_out(
    name: str, message: str, folder: Path, soundfile, capsys
) -> None:
    bad = folder / "low" / name
    numbers = {"one": sine(1, count=1), "nan": np.full(500, np.nan, np.float32)}
    if name in ("one.wav", "nan.wav"):
        soundfile.write(bad, numbers[bad.stem], RATE, "FLOAT")
    elif name == "odd.wav":
        soundfile.write(bad, sine(100), 7919)
    else:
        bad.write_bytes(b"" if name == "empty.wav" else b"no sound at all " * 40)
    with pytest.raises(DataError, match=message) as error:
        audio_folder(str(folder), length=256, sample_rate=RATE)
    assert "\n" not in str(error.value)
    data = audio_folder(str(folder), length=256, sample_rate=RATE, on_error="skip")
    assert len(data) == 12
    assert "1 of 13 sounds cannot be read and are left out" in capsys.readouterr().err


def test_other_folders_are_refused(tmp_path: Path, soundfile) -> None:
    with pytest.raises(DataError, match="must be a folder of sounds, got"):
        audio_folder(str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"has no sounds \(.wav, .flac"):
        audio_folder(str(tmp_path))


def test_a_missing_package_is_one_line_that_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    from gan_zoo.data.files import audio_io

    audio_io.soundfile.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(DataError, match=r"pip install 'gan-zoo\[audio\]'"):
        audio_folder(str(tmp_path))


def test_the_config_of_sounds() -> None:
    config = compose_overrides(["data=tones", "trainer=cpu", "run_dir=x"])
    assert config.generator._target_.endswith("WaveGANGenerator")
    assert config.loss.n_critic == 5
    assert list(config.regularizer) == ["gradient_penalty"]
    for side in ("generator", "discriminator"):
        assert (config.optim[side].lr, config.optim[side].betas) == (1e-4, [0.5, 0.9])
    assert list(config.metric) == ["audio"]


def test_a_model_of_images_is_refused_in_one_line(tmp_path: Path) -> None:
    line = refused("train", "data=tones", "model=dcgan", f"hydra.run.dir={tmp_path}")
    assert "generator=dcgan works on images" in line
    assert "model=wavegan" in line


SMALL = ("data.length=256", "generator.width=2", "discriminator.width=2", "trainer.max_steps=5")
SMALL = (*SMALL, "data.batch_size=4", "logger=none", "trainer=cpu")
METRIC = ("metric.audio.num_samples=8", "callbacks.evaluation.training_steps=2")


def test_a_run_from_folder_to_files(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    data = ("data=audio_folder", f"data.root={folder}", f"data.sample_rate={RATE}")
    invoke("train", *data, *SMALL, *METRIC, f"hydra.run.dir={run}")
    assert list((run / "samples").glob("*.png"))
    invoke("sample", run, "--count", 3, "--device", "cpu", "--out", tmp_path / "made")
    rate, numbers = wavfile.read(tmp_path / "made" / "000002.wav")
    assert (rate, len(numbers)) == (RATE, 256)
    assert "drawings" in refused("sample", run, "--device", "cpu")


def test_classes_can_be_requested(tmp_path: Path) -> None:
    networks = ("generator=wavegan", "discriminator=wavegan", "data=tones", "data.num_samples=60")
    run = tmp_path / "run"
    invoke(
        "train", "model=acgan", "metric=audio", *networks, *SMALL, *METRIC, f"hydra.run.dir={run}"
    )
    assert '"class_match"' in (run / "metrics.json").read_text()
    invoke(
        "sample", run, "--class", "organ", "--count", 2, "--out", tmp_path / "x", "--device", "cpu"
    )
    assert len(list((tmp_path / "x").iterdir())) == 2
