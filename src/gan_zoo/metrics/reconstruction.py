"""Errors of reconstructions by models with an encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from gan_zoo.core.distributed import rank, world_size
from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, Reconstructs
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult
from gan_zoo.models.base import Model

BLOCK_SIZE = 64


class Reconstruction(Evaluator):
    """``reconstruction_l1``: the mean absolute difference of held-out samples and their reconstructions.

    Images are in [-1, 1]. The first ``num_real`` samples of the held-out part are used, or of the data if
    nothing is held out; blocks of them are divided among the processes.

    Args:
        num_real: real samples to reconstruct.
    """

    num_samples = 0  # nothing is generated from latents
    best = "reconstruction_l1", "min"

    def __init__(self, num_real: Count = 512) -> None:
        self.num_real = num_real

    def check(self, source: Source, model: Model | None = None) -> None:
        if not isinstance(model, Reconstructs):
            kind = "none" if model is None else type(model).__name__
            raise DataError(f"metric=reconstruction needs a model with an encoder, such as bigan or vae, got {kind}")

    @torch.no_grad()
    def prepare(self, source: Source, device: torch.device, model: EvaluatedModel | None = None) -> None:
        assert model is not None
        assert isinstance(model.model, Reconstructs)
        self.source = source.evaluation_split()
        self.count = min(self.num_real, len(self.source))
        self.mean = MeanMetric().to(device)
        self.mean.update(torch.zeros(0, device=device))  # processes without a block take part in the mean, too
        for number, rows in enumerate(torch.split(torch.arange(self.count), BLOCK_SIZE)):
            if number % world_size() == rank():
                x = to_unit(self.source.samples[rows]).to(device)
                self.mean.update(errors(x, model.model.reconstruct(x, model.generators)))

    def update(self, generated: Generated) -> None:
        """Generated samples take no part."""

    def compute(self) -> list[MetricResult]:
        protocol = {
            "data": self.source.name,
            "split": self.source.split,
            "num_real": self.count,
            "range": "[-1, 1]",
        }
        return [MetricResult("reconstruction_l1", float(self.mean.compute()), protocol)]


def errors(x: Tensor, reconstructed: Tensor) -> Tensor:
    """The mean absolute difference of each pair, ``[B]``."""
    return (x - reconstructed.float()).abs().flatten(1).mean(1)
