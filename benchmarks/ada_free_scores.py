"""Adaptive augmentation where scores are free up to a constant: python benchmarks/ada_free_scores.py

A discriminator memorizes 150 digits. Three ways to measure its overfitting from scores that have no
undecided value: by their sign around the midpoint of both sides' means, by their sign around 0, and
not at all (p stays 0). The figure is the Frechet distance of the pixels to the 1,647 digits that
were not trained on; lower is better.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch

import gan_zoo as gz
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.losses.base import Loss
from gan_zoo.metrics.functional.frechet import FeatureMoments, Moments, frechet_distance

TRAINED_ON = 150
LOSSES = {
    "wgan_gp": (gz.Wasserstein, {"gradient_penalty": gz.GradientPenalty()}),
    "rpgan": (gz.RelativisticPaired, {"r1": gz.R1(1.0), "r2": gz.R2(1.0)}),
    "ragan": (gz.RelativisticAverage, {"r1": gz.R1(1.0)}),
    "loss_sensitive": (gz.LossSensitive, {}),
}
WAYS = ("middle", "zero", "none")


def moments(images: torch.Tensor) -> Moments:
    """The moments of the pixels ``[N, 1, 16, 16]`` in [-1, 1]."""
    metric = FeatureMoments(256)
    metric.update(images.flatten(1))
    return metric.compute()


def trained(
    loss: Loss, penalties: dict[str, gz.Regularizer], way: str, seed: int, steps: int
) -> tuple[float, float]:
    """The distance to unseen digits and the probability at the end."""
    # the data: few digits to learn, the others to compare with
    torch.manual_seed(seed)
    source = gz.digits(image_size=16)
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    few = gz.Source("few", "all", source.samples[order[:TRAINED_ON]])
    unseen = source.samples[order[TRAINED_ON:]].float() / 127.5 - 1

    # the networks, and one of the three ways
    adaptive = {
        "target": None if way == "none" else 0.6,
        "threshold": 0.0 if way == "zero" else None,
    }

    def discriminator() -> gz.AugmentedDiscriminator:
        network = gz.DCGANDiscriminator([1, 16, 16], 16, norm="layer")
        return gz.AugmentedDiscriminator(
            network, gz.ADAugment(["blit"], images_to_full=40_000, **adaptive)
        )

    model = gz.GAN(
        partial(gz.DCGANGenerator, sample_shape=[1, 16, 16], width=16), discriminator, latent_dim=32
    )
    regularizers = dict(penalties)
    adam = partial(torch.optim.Adam, lr=5e-4, betas=(0.0, 0.9))
    options = {
        "generator_optimizer": adam,
        "discriminator_optimizer": adam,
        "ema": {"half_life": 5000.0},
    }
    module = gz.GANModule(model, loss, regularizers, **options)
    gz.fit(
        module,
        gz.DataModule(few, batch_size=32, seed=seed),
        steps,
        progress=False,
        accelerator="cpu",
    )

    # the figure
    fake = module.sample(SampleRequest(1600, StepRNG(seed, 10**6)))
    augmentation = model.discriminators["main"].augmentation
    return frechet_distance(moments(unseen), moments(fake)), float(augmentation.p)


def main() -> None:
    """Print a row for each loss, way and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seeds", type=int, default=2)
    chosen = parser.parse_args()
    for name, (make, penalties) in LOSSES.items():
        for way in WAYS:
            found = [
                trained(make(), penalties, way, seed, chosen.steps) for seed in range(chosen.seeds)
            ]
            print(name, way, *(f"{distance:.2f} (p {p:.2f})" for distance, p in found), flush=True)


if __name__ == "__main__":
    main()
