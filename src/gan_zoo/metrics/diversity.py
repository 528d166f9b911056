"""How different samples of one condition are."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult, exact_device
from gan_zoo.metrics.functional.means import Means
from gan_zoo.metrics.functional.perceptual_distance import (
    check_images,
    description,
    perceptual_distance,
)
from gan_zoo.models.base import Model


class Diversity(Evaluator):
    """``diversity``: the mean perceptual distance of two samples with one condition and different
    latents.

    Zhu et al. 2017 (BicycleGAN), section 5: LPIPS of pairs of outputs for the same input. 0 for a
    generator that ignores its latents. Realism takes no part: noise is diverse, too.

    Args:
        features: images to activations, such as
            `gan_zoo.auxiliary_losses.perceptual.Lite0Features`.
        num_samples: pairs.
    """

    best = "diversity", "max"

    def __init__(self, features: nn.Module, num_samples: Count = 1024) -> None:
        self.features = features.eval().requires_grad_(False)
        self.num_samples = num_samples

    def check(self, source: Source, model: Model | None = None) -> None:
        check_images(source, "diversity")
        if model is None or model.latent_dim is None:
            raise DataError("metric=diversity needs a model with latents, this one has none")

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert model is not None
        self.source = source
        self.evaluated = model
        self.features.to(device)
        self.means = Means(1).to(exact_device(device))

    def update(self, generated: Generated) -> None:
        model, generators = self.evaluated.model, self.evaluated.generators

        # Both samples of a pair have the condition of the generated one.
        request = generated.request
        if request.label is None:
            request = replace(request, label=generated.requested_label)

        # The same request with other random numbers has other latents.
        pair = []
        for purpose in ("first of a pair", "second of a pair"):
            new = replace(request, rng=request.rng.derive(purpose), latents=None)
            latents = model.latents(new)
            pair.append(model.sample(replace(request, latents=latents), generators).float())
        self.means.update(perceptual_distance(self.features, *pair)[:, None])

    def compute(self) -> list[MetricResult]:
        (value,), count = self.means.compute()
        protocol = {
            "data": self.source.name,
            "distance": description(self.features),
            "num_generated": count,
        }
        return [MetricResult("diversity", value, protocol)]
