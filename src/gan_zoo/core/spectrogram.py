"""The short-time Fourier transform of sounds, its inverse, and sounds of magnitudes alone."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-8
"""What is divided by is at least this."""


@lru_cache(maxsize=16)
def hann_window(size: int, device: torch.device) -> Tensor:
    """Hann's periodic window ``[size]``, made once for each device."""
    return torch.hann_window(size, device=device)


def check_frames(length: int, window: int, hop: int) -> int:
    """The number of frames of sounds of ``length`` samples, length / hop.

    Raises:
        ValueError: if the hop does not divide the length, or does not fit the window.
    """
    if window < 4 or not 1 <= hop < window or (window - hop) % 2:
        raise ValueError(
            "window must be >= 4 and hop from 1 to below it, both even or both odd, got"
            f" window={window} and hop={hop}"
        )
    if length % hop:
        raise ValueError(f"hop must divide the {length} samples of a sound, got {hop}")
    return length // hop


def stft(sounds: Tensor, window: int, hop: int) -> Tensor:
    """Sounds ``[B, T]`` to complex spectra ``[B, window // 2 + 1, T / hop]``.

    Frame i is centered at sample (i + 1/2) hop, so that there are as many frames as hops. Beyond
    the ends there is silence; the windows are those of Hann.

    Args:
        window: samples in a frame.
        hop: samples between frames; divides T, see `check_frames`.
    """
    border = (window - hop) // 2
    padded = F.pad(sounds.float(), (border, border))
    hann = hann_window(window, padded.device)
    return torch.stft(padded, window, hop, window=hann, center=False, return_complex=True)


def istft(spectra: Tensor, window: int, hop: int) -> Tensor:
    """The sounds ``[B, T]`` whose `stft` is nearest to ``spectra`` ``[B, F, frames]``.

    The least-squares solution of Griffin & Lim 1984, eq. 6: sum_i w(t - i hop) x_i(t) over sum_i
    w(t - i hop)^2. Spectra that are those of sounds give these sounds.
    """
    # Frames of sound are windowed once more, and overlap where they belong.
    hann = hann_window(window, spectra.device)
    frames = torch.fft.irfft(spectra, n=window, dim=1) * hann[:, None]
    border = (window - hop) // 2
    length = hop * spectra.shape[2]
    options = {
        "output_size": (1, length + 2 * border),
        "kernel_size": (1, window),
        "stride": (1, hop),
    }
    total = F.fold(frames, **options).flatten(1)

    # The sum of the squared windows, and without the borders, where there was silence.
    squares = hann.square()[None, :, None].expand(1, -1, spectra.shape[2])
    weight = F.fold(squares, **options).flatten(1)
    return (total / weight.clamp(min=LEAST))[:, border : border + length]


def griffin_lim(
    magnitudes: Tensor, phases: Tensor, window: int, hop: int, iterations: int
) -> Tensor:
    """Sounds ``[B, T]`` with about these magnitudes ``[B, F, frames]``.

    Griffin & Lim 1984, section IV.

    Each iteration makes a sound of the magnitudes with the phases so far, and takes the phases of
    its spectra. The distance of its magnitudes to the given ones never grows.

    Args:
        phases: to begin with, in radians, ``[B, F, frames]``.
        iterations: 0 for a sound of the first phases.
    """
    spectra = torch.polar(magnitudes, phases)
    for _ in range(iterations):
        found = stft(istft(spectra, window, hop), window, hop)
        spectra = magnitudes * found / found.abs().clamp(min=LEAST)
    return istft(spectra, window, hop)
