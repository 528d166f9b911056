"""The mel scale: filters of frequencies, and spectrograms of their logarithms."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from gan_zoo.core.spectrogram import hann_window, stft

BANDS = 64
QUIETEST = 1e-5
"""Magnitudes below count as this, where 1 is a sine of full amplitude."""


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, size: int, bands: int = BANDS) -> Tensor:
    """Triangles ``[bands, size // 2 + 1]`` of height 1, evenly spaced on the mel scale.

    m = 2595 log10(1 + f / 700) from 0 to half the sample rate, the scale of HTK. A band that is
    narrower than the distance of two frequencies is their interpolation, so that none is empty.
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


@lru_cache(maxsize=8)
def _filters_on(device: torch.device, sample_rate: int, size: int, bands: int) -> Tensor:
    """`mel_filters`, copied to ``device`` once."""
    return mel_filters(sample_rate, size, bands).to(device)


def log_mel_magnitudes(
    sounds: Tensor, sample_rate: int, window: int, hop: int, bands: int
) -> Tensor:
    """Sounds ``[B, 1, T]`` in [-1, 1] to log-mel spectrograms ``[B, bands, T / hop]``.

    log max(M |S|, 1e-5), the natural logarithm of `mel_filters` M of the magnitudes |S| of the
    `gan_zoo.core.spectrogram.stft`, in units of a sine of full amplitude (the authors' program of
    HiFi-GAN, Kong et al. 2020). Differentiable.
    """
    magnitudes = stft(sounds.flatten(0, 1), window, hop).abs()
    # A sine of amplitude 1 has half the sum of the window.
    magnitudes = magnitudes / (hann_window(window, sounds.device).sum() / 2)
    # In float32, as a logarithm follows.
    with torch.autocast(sounds.device.type, enabled=False):
        mel = _filters_on(sounds.device, sample_rate, window, bands) @ magnitudes
    return mel.clamp(min=QUIETEST).log()
