"""Sounds read from files, at one sample rate and length."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gan_zoo.core.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff")
LARGEST_RATIO = 1000
"""Of two sample rates, in lowest terms: the resampling filter has ten times as many numbers."""

Sound = np.ndarray[Any, np.dtype[np.float32]]


@cache
def soundfile() -> Any:
    """The package soundfile; raises `DataError` naming the extra that has it."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without the library it wraps
        raise DataError(
            "sound files need the extra audio: pip install 'gan-zoo[audio]' (soundfile cannot be"
            f" imported: {' '.join(str(error).split())})"
        ) from error
    return soundfile


def read_sound(path: Path, length: int, sample_rate: int) -> Sound:
    """The sound of a file as float32 ``[1, length]`` in [-1, 1].

    Channels are averaged. Longer sounds are cut to their first samples, shorter ones end in
    silence. No more of a file is read than needed.

    Raises:
        ValueError, OSError: if the file is empty, damaged, or holds numbers that are not finite.
    """
    library = soundfile()
    try:
        with library.SoundFile(path) as file:
            # A margin, so that the end of a cut is filtered with what follows it.
            rate = int(file.samplerate)
            needed = math.ceil((length + 64) * max(1.0, rate / sample_rate))
            channels = file.read(needed, dtype="float32", always_2d=True)
    except library.LibsndfileError as error:
        raise ValueError(str(error).strip()) from error
    if len(channels) < 2:
        raise ValueError(f"it needs at least 2 samples, got {len(channels)}")
    if not np.isfinite(channels).all():
        raise ValueError("it holds numbers that are not finite")
    return fitted(resampled(channels.mean(1), rate, sample_rate), length)


def resampled(sound: Sound, rate: int, sample_rate: int) -> Sound:
    """A sound ``[T]`` at another sample rate, low-pass filtered.

    Raises:
        ValueError: if the rates have no small ratio.
    """
    if rate == sample_rate:
        return sound
    from scipy.signal import resample_poly  # type: ignore[attr-defined]

    divisor = math.gcd(rate, sample_rate)
    up, down = sample_rate // divisor, rate // divisor
    if max(up, down) > LARGEST_RATIO:
        raise ValueError(f"its sample rate of {rate} has no small ratio to {sample_rate}")
    found: Sound = resample_poly(sound.astype(np.float64), up, down).astype(np.float32)
    return found


def fitted(sound: Sound, length: int) -> Sound:
    """The first ``length`` numbers of a sound ``[T]``, or all of them and silence, ``[1,
    length]``, clipped to [-1, 1].
    """
    missing = max(0, length - len(sound))
    return np.pad(sound[:length], (0, missing)).clip(-1, 1)[None]
