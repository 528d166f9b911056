"""What classes the sounds of a run fall in, and a picture of real and generated ones: RUN PICTURE."""

from __future__ import annotations

import sys

import torch
from PIL import Image

import gan_zoo as gz
from gan_zoo.data.spectrograms import log_mel
from gan_zoo.inference.sampling import sample_blocks
from gan_zoo.metrics.audio_quality import AudioScores, sample_rate_of, small_images


def main(folder: str, picture: str) -> None:
    run = gz.load(folder, device="cpu")
    source = run.source
    network, accuracy = AudioScores().trained_classifier(source, torch.device("cpu"))
    assert network is not None
    print(f"accuracy on held-out real sounds: {accuracy:.3f}")
    made = torch.cat(list(sample_blocks(run, 1000, 0)))
    with torch.no_grad():
        logits = network(small_images(log_mel(made, sample_rate_of(source))))
    shares = logits.argmax(1).bincount(minlength=logits.shape[1]) / len(made)
    for name, share in zip(source.classes or [], shares.tolist(), strict=True):
        print(f"{name}: {share:.3f}")
    print(f"largest probability, mean: {logits.softmax(1).amax(1).mean():.3f}")

    # Real sounds on the left, generated ones on the right.
    halves = [source.sample_kind.draw(sounds[:36], source) for sounds in (source.samples, made)]
    wide = sum(half.width for half in halves) + 16
    image = Image.new("RGB", (wide, halves[0].height), "white")
    image.paste(halves[0], (0, 0))
    image.paste(halves[1], (halves[0].width + 16, 0))
    image.quantize(48).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
