"""How well a vocoder rebuilds held-out sounds, and a picture of both: RUN PICTURE."""

from __future__ import annotations

import sys

from PIL import Image

import gan_zoo as gz
from gan_zoo.core.rng import StepRNG
from gan_zoo.data.loader import sample_request


def main(folder: str, picture: str) -> None:
    run = gz.load(folder, device="cpu")
    source = run.source.evaluation_split()
    request = sample_request(source, 256, StepRNG(0, 0))
    made, real = run.module.sample(request), request.target
    assert real is not None
    print(f"distance of log-mel spectrograms: {run.module.model.reconstruction(made, real):.2f}")
    mean = run.module.model.reconstruction.spectrograms(real).mean((0, 2), keepdim=True)
    spread = (run.module.model.reconstruction.spectrograms(real) - mean).abs().mean()
    print(f"that of the mean spectrum of all sounds: {spread:.2f}")

    # Real sounds on the left, the same sounds rebuilt on the right.
    halves = [source.sample_kind.draw(sounds[:36], source) for sounds in (real, made)]
    wide = sum(half.width for half in halves) + 16
    image = Image.new("RGB", (wide, halves[0].height), "white")
    image.paste(halves[0], (0, 0))
    image.paste(halves[1], (halves[0].width + 16, 0))
    image.quantize(48).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
