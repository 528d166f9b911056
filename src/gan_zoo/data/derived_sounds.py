"""Conditions made from sounds: mel spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.mel import log_mel_magnitudes
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.spectrogram import check_frames
from gan_zoo.core.types import Count
from gan_zoo.data.derived import Derivation


class Mel(Derivation):
    """Sounds ``[B, 1, T]`` to log-mel spectrograms ``[B, bands, T / hop]`` (vocoders).

    See `gan_zoo.core.mel.log_mel_magnitudes`.

    Args:
        sample_rate: of the sounds, samples a second.
        window: samples in a frame.
        hop: samples between frames; divides T.
        bands: number of mel bands.
    """

    dimensions: ClassVar[int] = 2
    works_on: ClassVar[str] = "sounds"

    def __init__(
        self, sample_rate: int, window: Count = 512, hop: Count = 128, bands: Count = 64
    ) -> None:
        if sample_rate < 1:
            raise DataError(
                "data/derive=mel works on sounds, which have a data.sample_rate >= 1, got"
                f" {sample_rate}: use data=tones or data=audio_folder, or use model=gan for"
                " vectors, model=dcgan for images"
            )
        self.sample_rate = sample_rate
        self.window = window
        self.hop = hop
        self.bands = bands

    def condition_shape(self, sample_shape: Sequence[int]) -> list[int]:
        channels, length = sample_shape
        if channels != 1:
            raise DataError(f"data/derive=mel needs sounds of one channel, got {channels}")
        try:
            return [self.bands, check_frames(length, self.window, self.hop)]
        except ValueError as error:
            raise DataError(f"data/derive=mel: {error}") from error

    def __call__(self, images: Tensor, rng: StepRNG) -> Tensor:
        return log_mel_magnitudes(images, self.sample_rate, self.window, self.hop, self.bands)
