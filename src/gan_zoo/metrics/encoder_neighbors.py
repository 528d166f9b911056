"""How well an encoder's codes separate classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, Encodes
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult
from gan_zoo.metrics.reference_classifier import check_labelled, split
from gan_zoo.models.base import Model

BLOCK_SIZE = 256


class EncoderNeighbors(Evaluator):
    """``encoder_1nn``: accuracy of the nearest neighbor in the space of codes; ``pixel_1nn`` in that of pixels.

    Held-out samples get the label of their nearest training sample by Euclidean distance (Donahue et al.
    2017, section 4.2). All processes compute the same.

    Args:
        num_train: labeled training samples, the first ones of a fixed random order.
        num_test: held-out samples.
    """

    num_samples = 0  # nothing is generated
    best = "encoder_1nn", "max"

    def __init__(self, num_train: Count = 10_000, num_test: Count = 2_000) -> None:
        self.num_train = num_train
        self.num_test = num_test

    def check(self, source: Source, model: Model | None = None) -> None:
        check_labelled(source)
        if not isinstance(model, Encodes):
            kind = "none" if model is None else type(model).__name__
            raise DataError(f"metric=encoder_neighbors needs a model with an encoder, such as bigan, got {kind}")

    @torch.no_grad()
    def prepare(self, source: Source, device: torch.device, model: EvaluatedModel | None = None) -> None:
        assert model is not None
        encoder = model.model
        assert isinstance(encoder, Encodes)
        train, train_rows, test, test_rows = split(source)
        train_rows = chosen(train_rows, self.num_train)
        test_rows = chosen(test_rows, self.num_test)

        def codes_and_pixels(data: Source, rows: Tensor) -> tuple[Tensor, Tensor]:
            codes = []
            pixels = []
            for block in torch.split(rows, BLOCK_SIZE):
                x = to_unit(data.samples[block]).to(device)
                codes.append(encoder.encode(x, model.generators).float())
                pixels.append(x.flatten(1))
            return torch.cat(codes), torch.cat(pixels)

        assert train.labels is not None
        assert test.labels is not None
        labels = train.labels[train_rows].to(device)
        expected = test.labels[test_rows].to(device)
        spaces = zip(codes_and_pixels(train, train_rows), codes_and_pixels(test, test_rows), strict=True)
        self.accuracies = [nearest_accuracy(near, labels, queries, expected) for near, queries in spaces]
        self.protocol: dict[str, Any] = {
            "data": source.name,
            "split": test.split,
            "num_train": len(train_rows),
            "num_real": len(test_rows),
        }

    def update(self, generated: Generated) -> None:
        """Generated samples take no part."""

    def compute(self) -> list[MetricResult]:
        names = ("encoder_1nn", "pixel_1nn")
        return [MetricResult(name, value, self.protocol) for name, value in zip(names, self.accuracies, strict=True)]


def chosen(rows: Tensor, count: int) -> Tensor:
    """``count`` of ``rows``, or all, the same every time."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return rows[order[:count]]


def nearest_accuracy(points: Tensor, labels: Tensor, queries: Tensor, expected: Tensor) -> float:
    """The fraction of ``queries`` ``[M, D]`` whose nearest of ``points`` ``[N, D]`` has the expected label."""
    correct = 0
    for block, truth in zip(torch.split(queries, BLOCK_SIZE), torch.split(expected, BLOCK_SIZE), strict=True):
        nearest = torch.cdist(block, points).argmin(1)
        correct += int((labels[nearest] == truth).sum())
    return correct / len(queries)
