"""How well generated images match their captions, vectors or condition images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_uint8, to_unit
from gan_zoo.data.text import FIRST_WORD
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult
from gan_zoo.metrics.reference_classifier import SmallNet, fitted, shifted, split
from gan_zoo.models.base import Model
from gan_zoo.networks.condition_encoders import BagOfWords, ImageCondition, VectorCondition

OUTPUTS = 64


class TwoTowers(nn.Module):
    """Images and conditions as unit vectors, close where they belong together (Radford et al. 2021,
    CLIP).

    Args:
        channels: of the images.
        condition: encoder of conditions, ``[B, ...] -> [B, 64]``.
    """

    def __init__(self, channels: int, condition: nn.Module) -> None:
        super().__init__()
        self.image, self.condition = SmallNet(channels, OUTPUTS), condition

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        """Cosines of every image with every condition, ``[B, B']``."""
        return (
            F.normalize(self.image(images), dim=1)
            @ F.normalize(self.condition(conditions), dim=1).T
        )


def condition_tower(source: Source) -> nn.Module:
    """The encoder that suits the conditions of ``source``."""
    assert source.conditions is not None
    shape = list(source.conditions.shape[1:])
    if source.condition_kind == "text":
        # Held-out captions may use words that training captions have beyond their cut.
        numbers = FIRST_WORD + len(source.vocabulary or ())
        return BagOfWords(max(numbers, int(source.conditions.max()) + 1), OUTPUTS)
    return (
        VectorCondition(shape, OUTPUTS)
        if source.condition_kind == "vector"
        else ImageCondition(shape, OUTPUTS)
    )


class Retrieval(Evaluator):
    """``retrieval``: how often an image's own condition is the best fit among ``candidates``
    different ones.

    The fit is measured by two networks trained once on real pairs by the symmetric contrastive
    loss, and cached; their accuracy on real held-out pairs is part of the protocol, and chance is 1
    / candidates.

    Args:
        num_samples: generated samples.
        candidates: conditions to choose from, the matching one included.
    """

    def __init__(self, num_samples: int = 1024, candidates: int = 16) -> None:
        if num_samples < 1 or candidates < 2:
            raise ValueError(
                f"num_samples must be >= 1 and candidates >= 2, got {num_samples} and {candidates}"
            )
        self.num_samples, self.candidates = num_samples, candidates
        self.best = "retrieval", "max"

    def check(self, source: Source, model: Model | None = None) -> None:
        if source.conditions is None or not source.aligned or not source.holds_images:
            raise DataError(
                f"metric=retrieval needs images with their own conditions, data={source.name} has"
                " none"
            )
        if model is None or model.conditioning not in ("text", "vector", "image"):
            raise DataError(
                "metric=retrieval needs a model that is conditioned on text, vectors or images,"
                " this one is not"
            )

        # There must be as many different conditions as candidates.
        different = len(torch.unique(source.conditions[:1024].flatten(1), dim=0))
        if different < self.candidates:
            raise DataError(
                f"metric.retrieval.candidates must be at most the {different} different conditions"
                f" of data={source.name}, got {self.candidates}"
            )

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.source, self.device = source, device

        # The two encoders, from the cache if they were trained before.
        self.towers = fitted(
            "retrieval",
            source,
            lambda: TwoTowers(source.samples.shape[1], condition_tower(source)),
            self.loss,
            device,
            steps=self.training_steps,
        )

        # Their accuracy on held-out pairs, for the protocol.
        _, _, test, rows = split(source)
        assert test.conditions is not None
        images, conditions = (
            test.samples[rows[:1024]].to(device),
            to_unit(test.conditions[rows[:1024]]).to(device),
        )
        # Small batches are filled up with these.
        self.spare = conditions[: 4 * self.candidates]
        self.on_real = float(self.hits(images, conditions).float().mean())
        self.mean = MeanMetric().to(device)

    def loss(
        self, towers: nn.Module, data: Source, rows: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Both directions' cross-entropy over the batch; equal conditions are all right."""
        assert data.conditions is not None
        conditions = to_unit(data.conditions[rows]).to(self.device)
        logits = towers(shifted(data.samples[rows], generator).to(self.device), conditions) / 0.1

        # Equal conditions share the target.
        same = equal_rows(conditions).float()
        target = same / same.sum(1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    def hits(self, images: Tensor, conditions: Tensor) -> Tensor:
        """For each image whether no wrong candidate fits better, ``[B]``.

        Candidates are the next ones in the batch that differ; where those are too few, held-out
        ones follow.
        """
        size, conditions = len(images), torch.cat([conditions, self.spare])
        fits, others = self.towers(images, conditions), ~equal_rows(conditions)[:size]

        # The order in which each image meets the others: first its batch, then the spare ones.
        following = (torch.arange(size)[:, None] + torch.arange(1, size)[None]) % size
        spare = torch.arange(size, len(conditions)).expand(size, -1)
        following = torch.cat([following, spare], 1).to(fits.device)

        # The first ones that differ from its own condition are its wrong candidates.
        different = others.gather(1, following)
        within = different & (different.cumsum(1) <= self.candidates - 1)
        # No cosine is below -1, so what is masked is never the best fit.
        wrong = fits.gather(1, following).masked_fill(~within, -2.0)
        right: Tensor = fits.diagonal() > wrong.max(1).values
        return right

    def update(self, generated: Generated) -> None:
        assert generated.request.condition is not None
        self.mean.update(
            self.hits(to_uint8(generated.samples), generated.request.condition).float()
        )

    def compute(self) -> list[MetricResult]:
        protocol: dict[str, Any] = {
            "data": self.source.name,
            "encoders": "trained on the real training pairs",
            "encoders_accuracy_on_real": self.on_real,
            "candidates": self.candidates,
            "chance": 1 / self.candidates,
            "num_generated": self.num_samples,
        }
        return [MetricResult("retrieval", float(self.mean.compute()), protocol)]


def equal_rows(conditions: Tensor) -> Tensor:
    """Which conditions of a batch are equal, ``[B, B]``."""
    number: Tensor = torch.unique(conditions.flatten(1), dim=0, return_inverse=True)[1]
    return number[:, None] == number[None]
