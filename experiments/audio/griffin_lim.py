"""What is lost between a spectrogram and its sound: metric=audio of held-out sounds of data=tones, whose magnitudes stay
and whose phases Griffin and Lim's algorithm finds. The bound for model=specgan."""

from __future__ import annotations

import math

import torch

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.datasets.tones import tones
from gan_zoo.metrics.audio_quality import AudioScores
from gan_zoo.metrics.base import Generated
from gan_zoo.models.audio.specgan import LogSpectrogram


def main() -> None:
    source = tones()
    real = source.evaluation_split().samples
    for window, hop in ((128, 64), (128, 32), (256, 64)):
        scale = LogSpectrogram(window, hop)
        scale.measure(source.samples.split(256))
        spectrograms = scale(real)
        rng = StepRNG(0, 0)
        uniform = rng.uniform("phases", len(real), *spectrograms.shape[2:])
        made = scale.sounds(spectrograms, math.pi * (2 * uniform - 1), iterations=16)
        scores = AudioScores(len(made))
        scores.prepare(source, torch.device("cpu"))
        scores.update(Generated({"sample": made}, SampleRequest(len(made), rng)))
        found = ", ".join(f"{score.name} {score.value:.4g}" for score in scores.compute())
        print(f"windows of {window}, {hop} apart: {found}")


if __name__ == "__main__":
    main()
