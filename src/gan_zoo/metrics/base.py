"""The contract of an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.models.base import Model


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric's value with everything needed to interpret it.

    ``protocol`` holds the extractor and its weights' hash, the resize rule, the split, the numbers
    of real and generated samples, whether EMA weights were used, the seed and the world size.
    """

    name: str
    value: float
    protocol: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model with the generators that are evaluated: usually the averaged ones.

    They and the discriminators are in evaluation mode.
    """

    model: Model
    generators: nn.ModuleDict


@dataclass(frozen=True, slots=True)
class Generated:
    """Generated samples and the request for them.

    Attributes:
        visuals: the samples, ``visuals["sample"]`` ``[B, ...]`` in [-1, 1], and what is displayed
            next to them.
        request: labels, conditions, known targets.
        requested_label: the class or code of each sample, ``[B]``; None where there is none.
        num_requested_labels: number of those classes or codes.
        start: the number of the first sample.
    """

    visuals: Mapping[str, Tensor]
    request: SampleRequest
    requested_label: Tensor | None = None
    num_requested_labels: int | None = None
    start: int = 0

    @property
    def samples(self) -> Tensor:
        """The generated samples ``[B, ...]``."""
        return self.visuals["sample"]

    def first(self, count: int) -> Generated:
        """The first ``count`` of them."""
        if count >= len(self.samples):
            return self
        visuals = {name: images[:count] for name, images in self.visuals.items()}
        label = None if self.requested_label is None else self.requested_label[:count]
        return replace(
            self, visuals=visuals, request=self.request.select(slice(count)), requested_label=label
        )


@dataclass(frozen=True, slots=True)
class Samples:
    """Generated samples 0 .. N-1, in fixed blocks that are divided among the processes.

    A sample depends on its number alone, so the set is the same on any number of processes and at
    any time.

    Args:
        generate: makes block number k.
        count: N, over all processes.
        block_size: samples in a block; what exceeds N in the last one is dropped.
        rank, world_size: this process's place.
    """

    generate: Callable[[int], Generated]
    count: int
    block_size: int = 64
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[Generated]:
        for block in range(self.rank, -(-self.count // self.block_size), self.world_size):
            start = block * self.block_size
            yield replace(self.generate(block).first(self.count - start), start=start)


class Evaluator:
    """Computes metrics of generated samples: `check`, `prepare`, `update` with each block,
    `compute`.

    Attributes:
        num_samples: number of generated samples to evaluate.
        best: name and direction (``min`` or ``max``) of the metric that decides which checkpoint is
            the best.
        training_steps: of the networks that some evaluators train on real data.
    """

    num_samples: int
    training_steps: int = 1200
    best: tuple[str, str]

    def check(self, source: Source, model: Model | None = None) -> None:
        """Raise `DataError` if it is clear from data, model and arguments that there can be no
        result.

        Called before training, and before `prepare`.

        Args:
            source: the real data.
            model: that generates; None for images from elsewhere.
        """

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        """Begin an evaluation against ``source``, which passed `check`.

        Args:
            source: the real data.
            device: where generated samples are.
            model: for metrics that use the networks; None for images from elsewhere.
        """
        raise NotImplementedError

    def update(self, generated: Generated) -> None:
        """Add a block of samples, on the device that `prepare` was given."""
        raise NotImplementedError

    def compute(self) -> list[MetricResult]:
        """The metrics over all blocks of all processes; the same on every process."""
        raise NotImplementedError


@cache
def exact_device(device: torch.device) -> torch.device:
    """Where float64 sums are kept: ``device``, or the CPU if it has no float64, as Apple's GPUs."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return torch.device("cpu")
    return device


def warned(protocol: Mapping[str, Any], *warnings: str) -> dict[str, Any]:
    """A protocol with further warnings in addition to the one it may have."""
    texts = [*([str(protocol["warning"])] if "warning" in protocol else []), *warnings]
    return dict(protocol) | ({"warning": "; ".join(texts)} if texts else {})


def require_finite(values: Tensor, what: str) -> None:
    """Raise `DataError` if ``what`` holds NaN or infinite numbers, instead of returning a
    meaningless value.
    """
    if not values.isfinite().all():
        raise DataError(
            f"{what} hold NaN or infinite numbers, which cannot be scored: check the images and the"
            " extractor"
        )


def evaluate_all(
    evaluators: Mapping[str, Evaluator],
    samples: Samples,
    source: Source,
    device: torch.device,
    model: EvaluatedModel | None = None,
) -> list[MetricResult]:
    """One pass over the samples for all evaluators, each of which gets as many as it needs.

    Raises:
        DataError: if a metric cannot be computed, or a sample is not finite.
    """
    # What can be refused is refused before the first sample is generated.
    for evaluator in evaluators.values():
        evaluator.check(source, None if model is None else model.model)
        evaluator.prepare(source, device, model)

    # Each block goes to every evaluator that still needs samples.
    for generated in samples:
        if not generated.samples.isfinite().all():
            raise DataError(
                "generated samples hold NaN or infinite numbers, from number"
                f" {generated.start:,} on"
            )
        for evaluator in evaluators.values():
            if generated.start < evaluator.num_samples:
                evaluator.update(generated.first(evaluator.num_samples - generated.start))
    return [result for evaluator in evaluators.values() for result in evaluator.compute()]
