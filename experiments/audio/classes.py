"""What classes the sounds of a run fall in, and a picture of real and generated ones: RUN PICTURE.

The classifier of the metrics has never seen noise, and takes what lies in noise for the class that
has energy everywhere. A second one is trained on the real sounds and on copies of them in white
noise 0 to 50 dB below their peak, and tells what else is in a generated sound.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn

import gan_zoo as gz
from gan_zoo.data.dataset import Source
from gan_zoo.data.spectrograms import log_mel
from gan_zoo.inference.sampling import sample_blocks
from gan_zoo.metrics.audio_quality import AudioScores, sample_rate_of, small_images

COUNT = 1000
NOISE = (0.0, 50.0)
"""Decibels below the peak."""


def in_noise(source: Source, seed: int) -> Source:
    """The sounds of ``source`` ``[N, 1, T]``, and a copy of each in white noise."""
    draw = torch.Generator().manual_seed(seed)
    sounds = source.samples
    low, high = NOISE
    decibels = low + (high - low) * torch.rand(len(sounds), 1, 1, generator=draw)
    peaks = sounds.abs().amax((1, 2), keepdim=True)
    level = peaks * 10 ** (-decibels / 20)
    noisy = sounds + level * torch.randn(sounds.shape, generator=draw)
    assert source.labels is not None
    return replace(
        source,
        samples=torch.cat([sounds, noisy.clamp(-1, 1)]),
        labels=source.labels.repeat(2),
        fingerprint=f"{source.fingerprint}-in-noise-{seed}",
        held_out=partial(in_noise, source.evaluation_split(), seed + 1) if seed == 0 else None,
    )


@torch.no_grad()
def class_probabilities(network: nn.Module, sounds: Tensor, sample_rate: int) -> Tensor:
    """``[N, K]``"""
    probabilities: Tensor = network(small_images(log_mel(sounds, sample_rate))).softmax(1)
    return probabilities


def first_of_each(classes: Tensor, count: int, each: int = 5) -> Tensor:
    """The first ``each`` rows of every class, class after class."""
    rows = [(classes == number).nonzero().flatten()[:each] for number in range(count)]
    return torch.cat(rows)


def main(folder: str, picture: str) -> None:
    run = gz.load(folder, device="cpu")
    source = run.source
    made = torch.cat(list(sample_blocks(run, COUNT, 0)))
    for title, data in (("of the metrics", source), ("that knows noise", in_noise(source, 0))):
        network, accuracy = AudioScores().trained_classifier(data, torch.device("cpu"))
        assert network is not None
        probabilities = class_probabilities(network, made, sample_rate_of(source))
        found = probabilities.argmax(1)
        print(f"classifier {title}, {accuracy:.3f} right on held-out real sounds:")
        for number, name in enumerate(source.classes or []):
            print(f"  {name}: {(found == number).float().mean():.3f}")
        print(f"  largest probability, mean: {probabilities.amax(1).mean():.3f}")

    # Real sounds on the left, generated ones on the right: the first of each class, in a row.
    assert source.labels is not None
    sides = ((source.samples, source.labels), (made, found))
    count = len(source.classes or [])
    halves = [
        source.sample_kind.draw(sounds[first_of_each(classes, count)], source)
        for sounds, classes in sides
    ]
    wide = sum(half.width for half in halves) + 16
    image = Image.new("RGB", (wide, halves[0].height), "white")
    image.paste(halves[0], (0, 0))
    image.paste(halves[1], (halves[0].width + 16, 0))
    image.quantize(48).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
