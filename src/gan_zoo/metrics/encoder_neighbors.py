"""Whether samples of a class lie together in the space of codes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, Encodes
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult, exact_device
from gan_zoo.metrics.functional.means import Means
from gan_zoo.metrics.reconstruction import require_encoder
from gan_zoo.metrics.reference_classifier import split
from gan_zoo.models.base import Model

NAME = "encoder_neighbors"


class EncoderNeighbors(Evaluator):
    """``encoder_neighbors``: accuracy of the nearest neighbor's label, by distances of codes E(x).

    Donahue et al. 2017 (BiGAN), section 4.1: for held-out real samples the label of the training
    sample whose code is nearest. ``pixel_neighbors`` is the same by distances of the samples
    themselves. Labels take no part in the training of the encoder.

    Args:
        num_samples: held-out samples, at most those that there are.
        num_references: training samples, a fixed random choice if there are more.
        block_size: samples that are encoded at a time.
    """

    best = NAME, "max"

    def __init__(
        self, num_samples: Count = 1024, num_references: Count = 10_000, block_size: Count = 256
    ) -> None:
        self.num_samples = num_samples
        self.num_references = num_references
        self.block_size = block_size

    def check(self, source: Source, model: Model | None = None) -> None:
        require_encoder(model, NAME)
        if source.labels is None or len(source) < 2:
            raise DataError(f"metric={NAME} needs data with labels, data={source.name} has none")

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert model is not None
        assert isinstance(model.model, Encodes)
        self.source = source
        self.encodes: Encodes = model.model
        self.generators = model.generators
        self.device = device

        # References are training samples, a fixed random choice if there are many.
        train, rows, self.held_out, self.queries = split(source)
        if len(rows) > self.num_references:
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
            rows = rows[order[: self.num_references]]

        # Codes and samples of all references, encoded a block at a time.
        assert train.labels is not None
        self.labels = train.labels[rows].to(device)
        encoded = [self.spaces(train, part) for part in torch.split(rows, self.block_size)]
        self.references = [torch.cat(parts) for parts in zip(*encoded, strict=True)]
        self.means = Means(2).to(exact_device(device))

    def spaces(self, source: Source, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and flat samples of these rows."""
        samples = to_unit(source.samples[rows]).to(self.device)
        return self.encodes.encode(samples, self.generators).float().flatten(1), samples.flatten(1)

    def update(self, generated: Generated) -> None:
        # Held-out sample i goes with generated sample i, so that processes share the work.
        rows = self.queries[generated.start : generated.start + len(generated.samples)]
        if not len(rows):
            return
        assert self.held_out.labels is not None
        labels = self.held_out.labels[rows].to(self.device)

        # Whether the nearest reference has the same label, by codes and by the samples themselves.
        hits = []
        for queries, references in zip(
            self.spaces(self.held_out, rows), self.references, strict=True
        ):
            nearest = torch.cdist(queries, references).argmin(1)
            hits.append(self.labels[nearest] == labels)
        self.means.update(torch.stack(hits, 1))

    def compute(self) -> list[MetricResult]:
        # Neighbors by raw pixels are what an encoder has to beat.
        values, count = self.means.compute()
        protocol: dict[str, Any] = {
            "data": self.source.name,
            "split": self.held_out.split if self.held_out is not self.source else "a fixed tenth",
            "num_real": count,
            "num_references": len(self.labels),
            "distance": "Euclidean",
        }
        names = (NAME, "pixel_neighbors")
        return [
            MetricResult(name, value, protocol) for name, value in zip(names, values, strict=True)
        ]
