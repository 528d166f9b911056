"""Spectrograms of sounds on the mel scale, in decibels."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

WINDOW_SECONDS = 0.032
BANDS = 64
LOWEST_DECIBELS = -80.0
"""What is quieter counts as this quiet; 0 is a sine of full amplitude."""


def window_size(sample_rate: int) -> int:
    """Samples in a window: the power of two nearest to 32 ms, at least 64."""
    return max(64, 1 << round(math.log2(sample_rate * WINDOW_SECONDS)))


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, size: int, bands: int = BANDS) -> Tensor:
    """Triangles ``[bands, size // 2 + 1]`` of height 1, evenly spaced on the mel scale.

    m = 2595 log10(1 + f / 700) from 0 to half the sample rate. A band that is narrower than the
    distance of two frequencies is their interpolation, so that none is empty.
    """
    top = 2595 * torch.tensor(1 + sample_rate / 2 / 700, dtype=torch.float64).log10()
    corners = 700 * (10 ** (torch.linspace(0, 1, bands + 2, dtype=torch.float64) * top / 2595) - 1)
    frequencies = torch.linspace(0, sample_rate / 2, size // 2 + 1, dtype=torch.float64)

    # Both slopes are at least as wide as the distance of two frequencies.
    spacing = sample_rate / size
    below = (corners[1:-1] - corners[:-2]).clamp(min=spacing)[:, None]
    above = (corners[2:] - corners[1:-1]).clamp(min=spacing)[:, None]
    offset = frequencies - corners[1:-1, None]
    return (1 - torch.where(offset < 0, -offset / below, offset / above)).clamp(min=0).float()


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
