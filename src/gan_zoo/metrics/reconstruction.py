"""How well a model with an encoder reconstructs real samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, Encodes
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import (
    EvaluatedModel,
    Evaluator,
    Generated,
    MetricResult,
    exact_device,
    warned,
)
from gan_zoo.metrics.functional.means import Means
from gan_zoo.metrics.functional.perceptual_distance import description, perceptual_distance
from gan_zoo.models.base import Model


def require_encoder(model: Model | None, metric: str) -> None:
    """Raise `DataError` unless the model has an encoder."""
    if not isinstance(model, Encodes):
        came = "none" if model is None else type(model).__name__
        raise DataError(
            f"metric={metric} needs a model with an encoder, such as bigan, vae or vae_gan, got"
            f" {came}"
        )


class ReconstructionError(Evaluator):
    """Distances of held-out real samples from their reconstructions by the model's encoder and
    generator.

    ``reconstruction_l1``: mean absolute difference in [-1, 1]; for images of one or three channels
    also ``reconstruction_perceptual``. Real sample i goes with generated sample i, so that
    processes share the work.

    Args:
        features: images to activations, such as
            `gan_zoo.auxiliary_losses.perceptual.Lite0Features`.
        num_samples: real samples, at most those that there are.
    """

    best = "reconstruction_l1", "min"

    def __init__(self, features: nn.Module, num_samples: Count = 1024) -> None:
        self.features = features.eval().requires_grad_(False)
        self.num_samples = num_samples

    def check(self, source: Source, model: Model | None = None) -> None:
        require_encoder(model, "reconstruction")

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert model is not None
        assert isinstance(model.model, Encodes)
        self.source = source
        self.real = source.evaluation_split()
        self.encodes: Encodes = model.model
        self.generators = model.generators
        self.device = device
        self.features.to(device)
        self.sees = self.real.holds_images
        self.means = Means(2 if self.sees else 1).to(exact_device(device))

    def update(self, generated: Generated) -> None:
        # Real sample i goes with generated sample i; past the last real one there is none.
        end = generated.start + len(generated.samples)
        real = to_unit(self.real.samples[generated.start : end]).to(self.device)
        if len(real):
            self.means.update(
                self.distances(self.encodes.reconstruct(real, self.generators).float(), real)
            )

    def distances(self, reconstructed: Tensor, real: Tensor) -> Tensor:
        """One row for each sample, one column for each distance."""
        columns = [(reconstructed - real).abs().flatten(1).mean(1)]
        if self.sees:
            columns.append(perceptual_distance(self.features, reconstructed, real))
        return torch.stack(columns, 1)

    def compute(self) -> list[MetricResult]:
        values, count = self.means.compute()
        protocol: dict[str, Any] = {
            "data": self.source.name,
            "split": self.real.split,
            "num_real": count,
        }

        # The protocol says so if the model has seen the samples in training.
        if self.real is self.source:
            protocol = warned(
                protocol, "the data have no held-out part: the model was trained on these samples"
            )
        results = [MetricResult("reconstruction_l1", values[0], protocol | {"range": "[-1, 1]"})]
        if self.sees:
            results.append(
                MetricResult(
                    "reconstruction_perceptual",
                    values[1],
                    protocol | {"distance": description(self.features)},
                )
            )
        return results
