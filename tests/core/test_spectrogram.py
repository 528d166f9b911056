"""The short-time Fourier transform, its inverse, Griffin and Lim's algorithm, and mel spectrograms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor

from gan_zoo.core.mel import QUIETEST, log_mel_magnitudes, mel_filters
from gan_zoo.core.spectrogram import check_frames, griffin_lim, istft, stft

SIZES = [(128, 64), (64, 16), (16, 8), (17, 5)]


def noise(length: int, count: int = 2) -> Tensor:
    return torch.randn(count, length, generator=torch.Generator().manual_seed(0))


def sine(hertz: float, sample_rate: int, length: int) -> Tensor:
    return (2 * math.pi * hertz * torch.arange(length) / sample_rate).sin()[None]


@pytest.mark.parametrize(("window", "hop"), SIZES)
def test_as_many_frames_as_hops_and_back(window: int, hop: int) -> None:
    sounds = noise(20 * hop)
    spectra = stft(sounds, window, hop)
    assert (
        spectra.shape
        == (2, window // 2 + 1, 20)
        == (2, window // 2 + 1, check_frames(20 * hop, window, hop))
    )
    torch.testing.assert_close(istft(spectra, window, hop), sounds, atol=1e-5, rtol=1e-4)


def test_as_scipy() -> None:
    sounds = noise(640)
    window, hop = 64, 16
    padded = np.pad(sounds.numpy(), ((0, 0), (24, 24)))
    hann = signal.get_window("hann", window)
    expected = signal.ShortTimeFFT(hann, hop, fs=1.0, phase_shift=None).stft(padded, p0=2, p1=42)
    torch.testing.assert_close(
        stft(sounds, window, hop),
        torch.from_numpy(expected).to(torch.complex64),
        atol=1e-4,
        rtol=1e-4,
    )


def test_a_click_is_in_the_frames_around_it() -> None:
    sound = torch.zeros(1, 64)
    sound[0, 20] = 1
    energy = stft(sound, 16, 8).abs().sum(1)[0]
    # Frame i reaches from 8 i - 4 to 8 i + 12; 20 is the first sample of frame 3, where Hann is 0.
    assert energy.nonzero().flatten().tolist() == [2]
    assert energy[2].item() == pytest.approx(9), "all nine bins of the window's maximum"


def test_the_inverse_is_the_least_squares_solution() -> None:
    """Of spectra that are those of no sound: any other sound has spectra that are further away."""
    spectra = torch.complex(noise(9 * 20, 1), noise(9 * 20, 1)).reshape(1, 9, 20)
    spectra[:, [0, -1]] = spectra[:, [0, -1]].real + 0j
    weight = torch.full((9, 1), 2.0)
    weight[[0, -1]] = 1  # inner bins stand for two frequencies

    def distance(sound: Tensor) -> float:
        return float((weight * (stft(sound, 16, 8) - spectra).abs().square()).sum())

    best = istft(spectra, 16, 8)
    for seed in range(5):
        step = torch.randn(best.shape, generator=torch.Generator().manual_seed(seed))
        assert distance(best) < distance(best + 0.01 * step)


def test_griffin_and_lim_never_move_away() -> None:
    sounds = sine(440, 8000, 2048) + 0.3 * sine(1000, 8000, 2048)
    magnitudes = stft(sounds, 128, 32).abs()
    phases = torch.rand(magnitudes.shape, generator=torch.Generator().manual_seed(0)) * 2 * math.pi
    distances = []
    for iterations in (0, 1, 2, 4, 8, 16, 32):
        found = griffin_lim(magnitudes, phases, 128, 32, iterations)
        assert found.shape == sounds.shape
        distances.append(float((stft(found, 128, 32).abs() - magnitudes).norm()))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.15 * magnitudes.norm() < distances[0]


def test_the_right_phases_are_kept() -> None:
    sounds = noise(320)
    spectra = stft(sounds, 32, 8)
    found = griffin_lim(spectra.abs(), spectra.angle(), 32, 8, 3)
    torch.testing.assert_close(found, sounds, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("window", "hop", "message"),
    [
        (16, 16, "hop from 1 to below it"),
        (16, 7, "both even or both odd"),
        (2, 1, "window must be >= 4"),
        (16, 6, "hop must divide the 64 samples of a sound, got 6"),
    ],
)
def test_sizes_that_do_not_fit(window: int, hop: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_frames(64, window, hop)


@pytest.mark.parametrize("band", [5, 20, 33])
def test_a_pure_tone_is_loudest_in_its_band(band: int) -> None:
    rate, window, bands = 8000, 256, 40
    filters = mel_filters(rate, window, bands)
    bin_number = int(filters[band].argmax())
    sound = sine(bin_number * rate / window, rate, 2048)[None]
    mel = log_mel_magnitudes(sound, rate, window, 64, bands)
    assert mel.shape == (1, bands, 32)
    inner = mel[0, :, 4:-4]
    assert (inner.argmax(0) == band).all()
    # Hann's window also shows half of a sine in both neighbors of its bin.
    near = filters[band, [bin_number - 1, bin_number, bin_number + 1]] * torch.tensor([0.5, 1, 0.5])
    torch.testing.assert_close(inner[band].exp(), near.sum().expand(24), atol=1e-3, rtol=1e-3)


def test_silence_has_a_floor_and_gradients_are_finite() -> None:
    silence = torch.zeros(1, 1, 256, requires_grad=True)
    mel = log_mel_magnitudes(silence, 8000, 64, 16, 10)
    torch.testing.assert_close(mel, torch.full((1, 10, 16), QUIETEST).log())
    (gradient,) = torch.autograd.grad(mel.sum(), silence)
    assert gradient.isfinite().all()
