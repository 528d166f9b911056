"""The distance of sounds on the mel scale."""

from __future__ import annotations

from torch import Tensor, nn

from gan_zoo.core.mel import log_mel_magnitudes
from gan_zoo.core.types import Count


class MelL1(nn.Module):
    """E |phi(x) - phi(y)| over bands and frames, phi the log-mel spectrogram (Kong et al. 2020, eq.
    4).

    Args:
        sample_rate: of the sounds ``[B, 1, T]``, samples a second.
        window, hop, bands: as in `gan_zoo.core.mel.log_mel_magnitudes`.
    """

    def __init__(self, sample_rate: int, window: Count, hop: Count, bands: Count) -> None:
        super().__init__()
        if sample_rate < 1:
            raise ValueError(
                "reconstruction=mel works on sounds (data=tones, data=audio_folder):"
                f" data.sample_rate must be >= 1, got {sample_rate}"
            )
        self.settings = sample_rate, window, hop, bands

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        distance = self.spectrograms(output) - self.spectrograms(target)
        return distance.abs().mean()

    def spectrograms(self, sounds: Tensor) -> Tensor:
        """phi, ``[B, bands, frames]``."""
        return log_mel_magnitudes(sounds, *self.settings)
