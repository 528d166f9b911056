"""How far images move for a small step of the latents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.interpolation import spherical
from gan_zoo.core.types import Count, Positive, SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult, exact_device
from gan_zoo.metrics.functional.means import Means
from gan_zoo.metrics.functional.perceptual_distance import (
    check_images,
    description,
    perceptual_distance,
)
from gan_zoo.models.base import Model
from gan_zoo.models.latent_spaces import SpaceName, latent_space

NAME = "perceptual_path_length"


class PerceptualPathLength(Evaluator):
    """E d(G(path(t)), G(path(t + epsilon))) / epsilon^2 over paths of random latents (Karras et al.
    2019, section 4.1).

    Paths are great circles in z (straight lines for a uniform prior) and straight lines in w. Both
    ends have the same condition. All pairs count; the authors leave out the smallest and the
    largest percent.

    Args:
        features: images to activations, such as
            `gan_zoo.auxiliary_losses.perceptual.Lite0Features`.
        space: ``z``, or ``w`` for generators with a mapping to styles.
        epsilon: length of the step, as a part of the path.
        sampling: t ~ U[0, 1] for ``full``, t = 0 for ``end``.
        num_samples: pairs.
    """

    def __init__(
        self,
        features: nn.Module,
        space: SpaceName = "z",
        epsilon: Positive = 1e-4,
        sampling: Literal["full", "end"] = "full",
        num_samples: Count = 1024,
    ) -> None:
        self.features = features.eval().requires_grad_(False)
        self.space: SpaceName = space
        self.epsilon = epsilon
        self.sampling = sampling
        self.num_samples = num_samples
        self.best = NAME, "min"

    def check(self, source: Source, model: Model | None = None) -> None:
        check_images(source, NAME)
        if model is None or model.latent_dim is None:
            raise DataError(f"metric={NAME} needs a model with latents, this one has none")
        latent_space(self.space, model)

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert model is not None
        self.source = source
        self.evaluated = model
        self.features.to(device)
        self.means = Means(1).to(exact_device(device))

    def update(self, generated: Generated) -> None:
        # Both ends of a path have the condition of the generated sample.
        request = generated.request
        if request.label is None:
            request = replace(request, label=generated.requested_label)
        start, end = (self.points(request, purpose) for purpose in ("path start", "path end"))

        # Two places on each path.
        t = torch.zeros(request.size, 1).to(start)
        if self.sampling == "full":
            t = request.rng.uniform("path place", request.size, 1).to(start)
        first, second = (
            self.samples(self.on_path(start, end, where), request)
            for where in (t, t + self.epsilon)
        )

        # The distance is a squared one, and so is the step.
        self.means.update(
            perceptual_distance(self.features, first, second)[:, None] / self.epsilon**2
        )

    def points(self, request: SampleRequest, purpose: str) -> Tensor:
        """Points of new latents in the space, ``[B, D]``."""
        model, generators = self.evaluated.model, self.evaluated.generators
        new = replace(request, rng=request.rng.derive(purpose), latents=None)
        drawn = replace(request, latents=model.latents(new))
        return latent_space(self.space, model).points(drawn, generators)

    def on_path(self, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
        """The points at ``t`` ``[B, 1]``."""
        straight = self.space == "w" or self.evaluated.model.prior == "uniform"
        return torch.lerp(start, end, t) if straight else spherical(start, end, t)

    def samples(self, points: Tensor, request: SampleRequest) -> Tensor:
        """The samples of points, float32."""
        model, generators = self.evaluated.model, self.evaluated.generators
        return latent_space(self.space, model).samples(points, request, generators).float()

    def compute(self) -> list[MetricResult]:
        (value,), count = self.means.compute()
        protocol: dict[str, Any] = {
            "data": self.source.name,
            "distance": description(self.features),
            "space": self.space,
            "epsilon": self.epsilon,
            "sampling": self.sampling,
            "num_generated": count,
        }
        return [MetricResult(NAME, value, protocol)]
