"""The contract of an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Batch
from gan_zoo.data.dataset import Source


@dataclass(frozen=True, slots=True)
class Score:
    """One metric's value with everything needed to read it.

    ``protocol`` holds the extractor and its weights' hash, the resize rule, the split, the numbers of real and
    generated samples, whether EMA weights were used, the seed and the world size.
    """

    name: str
    value: float
    protocol: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generated:
    """Generated samples and what was asked for.

    Attributes:
        views: the samples, ``views["sample"]`` ``[B, ...]`` in [-1, 1], and what the model shows beside them.
        asked: the batch they were made for: labels, conditions, known targets.
        start: the number of the first of them.
        intent: the class or code that was asked for, ``[B]``, out of ``num_requested_labels``; None where there is
            none.
    """

    views: Mapping[str, Tensor]
    asked: Batch
    requested_label: Tensor | None = None
    num_requested_labels: int | None = None
    start: int = 0

    @property
    def samples(self) -> Tensor:
        """The generated samples ``[B, ...]``."""
        return self.views["sample"]

    def first(self, count: int) -> Generated:
        """The first ``count`` of them."""
        if count >= len(self.samples):
            return self

        def cut(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[:count]

        whole = self.asked
        asked = Batch(count, whole.rng, cut(whole.real), cut(whole.label), condition=cut(whole.condition))
        views = {name: view[:count] for name, view in self.views.items()}
        return Generated(views, asked, cut(self.requested_label), self.num_requested_labels, self.start)


@dataclass(frozen=True, slots=True)
class Samples:
    """Generated samples 0 .. N-1, in fixed blocks that are dealt to the processes.

    A sample depends on its number alone, so the set is the same on any number of processes and at any time.

    Args:
        draw: makes block number k.
        count: N, over all processes.
        block_size: samples in a block; what exceeds N in the last one is dropped.
        rank, world_size: this process's place.
    """

    draw: Callable[[int], Generated]
    count: int
    block_size: int = 64
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[Generated]:
        for block in range(self.rank, -(-self.count // self.block_size), self.world_size):
            start = block * self.block_size
            yield replace(self.draw(block).first(self.count - start), start=start)


class Evaluator:
    """Turns generated samples and a data set into scores: `prepare`, `update` with each block, `compute`.

    Attributes:
        num_samples: how many samples it wants.
        best: name and direction (``min`` or ``max``) of the score that decides which checkpoint is the best.
        training_steps: of the networks that some evaluators train on real data.
    """

    num_samples: int
    training_steps: int = 1200
    best: tuple[str, str]

    def check(self, source: Source, needs: Sequence[str] = (), num_requested_labels: int | None = None) -> None:
        """Raise `DataError` where data, model and numbers alone decide that there can be no score: before training.

        Args:
            source: the real data.
            needs: of the model.
            num_requested_labels: classes or codes that the model is asked for; None if there are none.
        """

    def prepare(self, source: Source, device: torch.device, needs: Sequence[str] = ()) -> None:
        """Begin an evaluation against ``source`` of a model with these ``needs``; `DataError` if it cannot be one."""
        raise NotImplementedError

    def update(self, generated: Generated) -> None:
        """Count a block of samples, on the device that `prepare` was given."""
        raise NotImplementedError

    def compute(self) -> list[Score]:
        """The scores of all blocks of all processes; the same on every process."""
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
    """A protocol with further warnings beside the one it may have."""
    told = [*([str(protocol["warning"])] if "warning" in protocol else []), *warnings]
    return dict(protocol) | ({"warning": "; ".join(told)} if told else {})


def require_finite(values: Tensor, what: str) -> None:
    """Raise `DataError` if ``what`` holds NaN or infinite numbers, instead of a score of whatever that becomes."""
    if not values.isfinite().all():
        raise DataError(
            f"{what} hold NaN or infinite numbers, which cannot be scored: check the images and the extractor"
        )


def score_all(
    evaluators: Mapping[str, Evaluator],
    samples: Samples,
    source: Source,
    device: torch.device,
    needs: Sequence[str] = (),
) -> list[Score]:
    """One pass over the samples for all evaluators, each of which gets as many as it wants.

    Raises:
        DataError: if a sample is not finite, instead of a score of whatever that becomes.
    """
    for evaluator in evaluators.values():
        evaluator.prepare(source, device, needs)
    for generated in samples:
        if not generated.samples.isfinite().all():
            raise DataError(f"generated samples hold NaN or infinite numbers, from number {generated.start:,} on")
        for evaluator in evaluators.values():
            if generated.start < evaluator.num_samples:
                evaluator.update(generated.first(evaluator.num_samples - generated.start))
    return [score for evaluator in evaluators.values() for score in evaluator.compute()]
