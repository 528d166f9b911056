"""Short synthetic sounds of five classes, computed and never loaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import stable_seed
from gan_zoo.core.types import Count, Whole
from gan_zoo.data.dataset import Source
from gan_zoo.data.sample_kinds.audio import Audio
from gan_zoo.data.splits import check_split

PARTS = {"train": 0.9, "test": 0.1}


def tones(
    length: Count = 4096,
    sample_rate: Count = 8000,
    num_samples: Count = 5000,
    split: str = "train",
    seed: Whole = 0,
) -> Source:
    """Sounds ``[1, length]`` of the classes struck, plucked, noisy, sweep and organ, equally often.

    Each has a random pitch, decay and level and begins at once. A tenth is held out.

    Args:
        length: T, samples of a sound.
        sample_rate: samples a second, at least 4,000.
        num_samples: sounds of all splits together.
        split: ``train``, ``test`` or ``all``.
        seed: of all random numbers.

    Raises:
        DataError: for a split that does not exist, or numbers that are too small.
    """
    check_split(split)
    _check_sizes(length, sample_rate, num_samples)

    # Both splits have numbers of their own.
    held_out = max(len(VOICES), round(num_samples * PARTS["test"]))
    counts = {"train": num_samples - held_out, "test": held_out}
    names = list(counts) if split == "all" else [split]
    sounds, labels = [], []
    for name in names:
        generator = torch.Generator().manual_seed(stable_seed("tones", name, seed))
        label = torch.arange(counts[name]) % len(VOICES)
        sounds.append(_sounds(label, length, sample_rate, generator))
        labels.append(label)
    options = {"length": length, "sample_rate": sample_rate, "num_samples": num_samples}
    return Source(
        "tones",
        split,
        torch.cat(sounds),
        torch.cat(labels),
        classes=list(VOICES),
        held_out=partial(tones, **options, split="test", seed=seed) if split == "train" else None,
        kind=Audio(sample_rate),
        license="computed",
    )


def _check_sizes(length: int, sample_rate: int, num_samples: int) -> None:
    """Raise `DataError` for numbers that are too small."""
    for name, value, least in (
        ("length", length, 16),
        ("sample_rate", sample_rate, 4000),
        # Every class occurs in both splits.
        ("num_samples", num_samples, 2 * len(VOICES)),
    ):
        if value < least:
            raise DataError(f"data.{name} must be >= {least}, got {value}")


def _sounds(labels: Tensor, length: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """A sound ``[1, length]`` for each label: its voice at a random level, of peak 0.3 to 0.9."""
    sounds = torch.empty(len(labels), 1, length)
    for number, voice in enumerate(VOICES.values()):
        rows = (labels == number).nonzero().flatten()
        if len(rows):
            made = voice(len(rows), length, sample_rate, generator)
            level = _uniform(len(rows), 0.3, 0.9, generator)
            peak = made.abs().amax(1, keepdim=True).clamp(min=1e-8)
            sounds[rows, 0] = level * made / peak
    return sounds


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, 1, generator=generator)


def _pitch(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Frequencies in hertz ``[count, 1]``, evenly distributed in octaves."""
    octaves = math.log2(high / low) * torch.rand(count, 1, generator=generator)
    found: Tensor = low * octaves.exp2()
    return found


def _fade(seconds: Tensor, decay: Tensor) -> Tensor:
    """exp(-t / decay) with a rise of 2 ms, so that no sound begins with a click."""
    return (-seconds / decay).exp() * (seconds / 0.002).clamp(max=1)


def struck(count: int, length: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Bars: modes at 1, 2.76, 5.40 and 8.93 times the pitch, the higher ones fade faster."""
    seconds = torch.arange(length) / sample_rate
    pitch = _pitch(count, 200, 800, generator)
    decay = _uniform(count, 0.06, 0.25, generator)
    sound = torch.zeros(count, length)
    for ratio, level in ((1.0, 1.0), (2.76, 0.6), (5.40, 0.35), (8.93, 0.2)):
        phase = _uniform(count, 0, 2 * math.pi, generator)
        mode = (2 * math.pi * ratio * pitch * seconds + phase).sin()
        audible = ratio * pitch < 0.45 * sample_rate
        sound += audible * level * mode * _fade(seconds, decay / ratio**0.5)
    return sound


def plucked(count: int, length: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Strings (Karplus & Strong 1983): y[t] = s (y[t - P] + y[t - P - 1]) / 2 after a burst of
    noise of P samples, the period.
    """
    period = (sample_rate / _pitch(count, 100, 400, generator)).round().long().flatten()
    strength = 1 - _uniform(count, 0.0, 0.02, generator).flatten()
    longest = int(period.max()) + 1
    burst = 2 * torch.rand(count, longest, generator=generator) - 1

    # Rows of `line` are strings, and column t is time t - longest.
    line = torch.zeros(count, longest + length)
    line[:, :longest] = burst * (torch.arange(longest) >= longest - period[:, None])
    rows = torch.arange(count)
    for time in range(longest, longest + length):
        before = line[rows, time - period] + line[rows, (time - period - 1).clamp(min=0)]
        line[:, time] = strength * before / 2
    return line[:, longest:]


def noisy(count: int, length: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Bursts of noise in a band of one octave, as of brushes and cymbals."""
    seconds = torch.arange(length) / sample_rate
    spectrum = torch.fft.rfft(torch.randn(count, length, generator=generator))
    hertz = torch.linspace(0, sample_rate / 2, spectrum.shape[1])
    center = _pitch(count, 0.075 * sample_rate, 0.35 * sample_rate, generator)
    octaves = (hertz.clamp(min=1) / center).log2()
    band = (-((2 * octaves) ** 2)).exp()
    noise: Tensor = torch.fft.irfft(spectrum * band, n=length)
    return noise * _fade(seconds, _uniform(count, 0.03, 0.12, generator))


def sweep(count: int, length: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Drums: a sine that falls from a random pitch to a quarter of it."""
    seconds = torch.arange(length) / sample_rate
    top = _pitch(count, 400, 1200, generator)
    speed = _uniform(count, 0.02, 0.08, generator)

    # The phase is the integral of the pitch, top (1/4 + 3/4 exp(-t / speed)).
    cycles = top * (seconds / 4 + 0.75 * speed * (1 - (-seconds / speed).exp()))
    return (2 * math.pi * cycles).sin() * _fade(seconds, _uniform(count, 0.08, 0.3, generator))


def organ(count: int, length: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Pipes: steady harmonics 1, 2, 4 and 8 that rise within 20 to 60 ms."""
    seconds = torch.arange(length) / sample_rate
    pitch = _pitch(count, 150, 450, generator)
    sound = torch.zeros(count, length)
    for ratio in (1, 2, 4, 8):
        level = _uniform(count, 0.2, 1.0, generator) / ratio**0.5
        phase = _uniform(count, 0, 2 * math.pi, generator)
        audible = ratio * pitch < 0.45 * sample_rate
        sound += audible * level * (2 * math.pi * ratio * pitch * seconds + phase).sin()
    rise = (seconds / _uniform(count, 0.02, 0.06, generator)).clamp(max=1)
    fall = ((length / sample_rate - seconds) / 0.02).clamp(0, 1)
    return sound * rise * fall


Voice = Callable[[int, int, int, torch.Generator], Tensor]
VOICES: dict[str, Voice] = {
    "struck": struck,
    "plucked": plucked,
    "noisy": noisy,
    "sweep": sweep,
    "organ": organ,
}
"""The classes, in the order of their numbers."""
