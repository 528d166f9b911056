"""Samples that are sounds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count
from gan_zoo.data.image_tensors import grid_of, to_pil
from gan_zoo.data.sample_kinds.base import SampleKind
from gan_zoo.data.spectrograms import as_images, log_mel

if TYPE_CHECKING:
    from gan_zoo.data.dataset import Source

WIDEST, NARROWEST = 128, 48
PLAYED = 6
"""Sounds that are written with a drawing."""
COLORS = torch.tensor([[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]])
"""From silent to loud, evenly spaced."""


class Audio(SampleKind):
    """Sounds ``[1, T]`` in [-1, 1], written as 16-bit WAV files ``000000.wav`` ... of a folder.

    Args:
        sample_rate: samples a second.
    """

    def __init__(self, sample_rate: Count) -> None:
        if sample_rate < 1:
            raise DataError(f"data.sample_rate must be >= 1, got {sample_rate}")
        self.sample_rate = sample_rate

    def draw(self, samples: Tensor, source: Source) -> Image.Image:
        """Log-mel spectrograms side by side: time to the right, low frequencies at the bottom."""
        spectrograms = log_mel(samples.nan_to_num().cpu(), self.sample_rate)
        if spectrograms.shape[3] > WIDEST:
            size = (spectrograms.shape[2], WIDEST)
            spectrograms = F.adaptive_avg_pool2d(spectrograms, size)
        # Few frames are drawn wider, so that none is a mere strip.
        repeats = -(-NARROWEST // spectrograms.shape[3])
        spectrograms = spectrograms.repeat_interleave(repeats, 3)
        return to_pil(grid_of(colored(as_images(spectrograms))))

    def write_beside(self, samples: Tensor, drawing: Path) -> None:
        """The first samples as WAV files, to listen to."""
        self.write([samples[:PLAYED]], drawing.with_suffix(""))

    def write(self, blocks: Iterable[Tensor], target: Path) -> int:
        target.mkdir(parents=True, exist_ok=True)
        written = 0
        for block in blocks:
            for sound in block:
                write_wav(target / f"{written:06d}.wav", sound, self.sample_rate)
                written += 1
        return written


def colored(images: Tensor) -> Tensor:
    """Gray images ``[B, 1, H, W]`` in [-1, 1] as color images in [-1, 1], from black over red to
    pale yellow.
    """
    position = (images + 1).clamp(0, 2) / 2 * (len(COLORS) - 1)
    below = position.floor().clamp(max=len(COLORS) - 2).long()
    share = position - below
    palette = COLORS.to(images) / 127.5 - 1
    mixed = palette[below] * (1 - share)[..., None] + palette[below + 1] * share[..., None]
    return mixed.squeeze(1).permute(0, 3, 1, 2)


def to_int16(sound: Tensor) -> Tensor:
    """A sound in [-1, 1] as whole numbers of 16 bits; what is outside is clipped."""
    return (sound.float() * 32767).round().clamp(-32768, 32767).to(torch.int16)


def write_wav(path: Path, sound: Tensor, sample_rate: int) -> None:
    """Write one sound ``[channels, T]`` as a WAV file of 16 bits."""
    from scipy.io import wavfile

    numbers = to_int16(sound).T.contiguous().cpu().numpy()
    wavfile.write(path, sample_rate, numbers)  # type: ignore[no-untyped-call]
