"""Spectrograms of sounds on the mel scale, in decibels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_zoo.core.mel import BANDS, mel_filters

WINDOW_SECONDS = 0.032
LOWEST_DECIBELS = -80.0
"""What is quieter counts as this quiet; 0 is a sine of full amplitude."""


def window_size(sample_rate: int) -> int:
    """Samples in a window: the power of two nearest to 32 ms, at least 64."""
    return max(64, 1 << round(math.log2(sample_rate * WINDOW_SECONDS)))


def log_mel(sounds: Tensor, sample_rate: int, bands: int = BANDS) -> Tensor:
    """Sounds ``[B, 1, T]`` in [-1, 1] to log-mel spectrograms ``[B, 1, bands, frames]``.

    Decibels relative to a sine of full amplitude, from -80 to 0, the lowest band first. Windows are
    those of Hann, a quarter apart.
    """
    size = window_size(sample_rate)
    window = torch.hann_window(size, device=sounds.device)

    # Sounds shorter than half a window cannot be reflected: silence is added on both sides.
    padded = torch.nn.functional.pad(sounds.float().flatten(0, 1), (size // 2, size // 2))
    spectrum = torch.stft(padded, size, size // 4, window=window, center=False, return_complex=True)
    power = (spectrum.abs() / (window.sum() / 2)).square()
    mel = mel_filters(sample_rate, size, bands).to(sounds.device) @ power
    decibels = 10 * mel.clamp(min=10 ** (LOWEST_DECIBELS / 10)).log10()
    return decibels.clamp(max=0).unsqueeze(1)


def as_images(spectrograms: Tensor) -> Tensor:
    """Spectrograms in decibels as images in [-1, 1], low frequencies at the bottom."""
    return (1 - 2 * spectrograms / LOWEST_DECIBELS).flip(2)
